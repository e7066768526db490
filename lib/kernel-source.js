'use strict'

// The source of a function as the compiler takes it: acorn parses, what can compile is written as nested lists, the rest is
// an error with line and column. src/jit/front/javascript/ reads it; docs/jit.md lists what compiles.

const { parseExpressionAt } = require('acorn')
const { makeError } = require('./errors.js')

const MAX_SOURCE = 64 * 1024
const MAX_NESTING = 100

/** What a program may have replaced: a kernel means the original ones. */
const ORIGINAL = new Map(Object.getOwnPropertyNames(Math).map((name) => [name, Math[name]]))
const NUMBER_CALLS = new Map(['isNaN', 'isFinite', 'isInteger'].map((name) => [name, Number[name]]))
const NUMBER_CONSTANTS = [
  'EPSILON',
  'MAX_SAFE_INTEGER',
  'MIN_SAFE_INTEGER',
  'MAX_VALUE',
  'MIN_VALUE',
  'NaN',
  'POSITIVE_INFINITY',
  'NEGATIVE_INFINITY',
]
const GLOBAL_CALLS = new Map(
  ['isNaN', 'isFinite', 'Number'].map((name) => [name, globalThis[name]]),
)
const ARITHMETIC = ['+', '-', '*', '/', '%', '**', '&', '|', '^', '<<', '>>', '>>>']

const unsupported = (message, { line, column } = {}) => {
  const at = line === undefined ? '' : ` (at ${line}:${column + 1})`
  const error = makeError('ERR_IRIS_NOT_COMPILABLE', `${message}${at}`)
  if (line !== undefined) Object.assign(error, { line, column: column + 1 })
  return error
}

class Writer {
  #source
  #depth = 0
  #hoisted = new Set()
  #names = new Set()

  constructor(source) {
    this.#source = source
  }

  write(root) {
    if (root.type !== 'ArrowFunctionExpression' && root.type !== 'FunctionExpression') {
      throw unsupported('only functions compile, and this is none', root.loc?.start)
    }
    if (root.async) throw unsupported('an async function does not compile', root.loc.start)
    if (root.generator) throw unsupported('a generator does not compile', root.loc.start)
    const params = root.params.map((param) => {
      if (param.type === 'Identifier') return this.#name(param)
      throw unsupported('a parameter that is no plain name does not compile', param.loc.start)
    })
    if (new Set(root.params.map(({ name }) => name)).size !== root.params.length) {
      throw unsupported('two parameters with one name do not compile', root.loc.start)
    }
    const { body } = root
    let statements
    if (body.type === 'BlockStatement') {
      statements = this.#body(body.body)
    } else {
      statements = [this.#node('Return', body, this.#expression(body))]
    }
    for (const name of this.#names) {
      if (['Math', 'Number', 'NaN', 'Infinity', 'undefined', 'arguments', 'eval'].includes(name)) {
        throw unsupported(`a variable of the name \`${name}\` does not compile`, root.loc.start)
      }
    }
    return this.#node('Function', root, list(params), list([...this.#hoisted]), list(statements))
  }

  #node(kind, { loc }, ...fields) {
    return `(${kind} ${loc.start.line} ${loc.start.column + 1}${fields.map((f) => ` ${f}`).join('')})`
  }

  #name(node) {
    this.#names.add(node.name)
    return this.#node('Name', node, node.name)
  }

  #deeper(node, write) {
    if (++this.#depth > MAX_NESTING) {
      throw unsupported(`nested deeper than ${MAX_NESTING} levels`, node.loc.start)
    }
    const text = write()
    this.#depth--
    return text
  }

  #body(statements) {
    // 'use strict' and its like.
    return statements.filter((s) => s.directive === undefined).map((s) => this.#statement(s))
  }

  #statement(node) {
    return this.#deeper(node, () => this.#write(node))
  }

  #maybe(node) {
    return node === null ? '-' : this.#expression(node)
  }

  #write(node) {
    switch (node.type) {
      case 'BlockStatement':
        return this.#node('Block', node, list(this.#body(node.body)))
      case 'EmptyStatement':
        return this.#node('Empty', node)
      case 'ExpressionStatement':
        return this.#node('Expression', node, this.#expression(node.expression))
      case 'ReturnStatement':
        return this.#node('Return', node, this.#maybe(node.argument))
      case 'VariableDeclaration':
        return this.#declaration(node)
      case 'IfStatement':
        return this.#node(
          'If',
          node,
          this.#expression(node.test),
          this.#statement(node.consequent),
          node.alternate === null ? '-' : this.#statement(node.alternate),
        )
      case 'WhileStatement':
        return this.#node('While', node, this.#expression(node.test), this.#statement(node.body))
      case 'DoWhileStatement':
        return this.#node('DoWhile', node, this.#expression(node.test), this.#statement(node.body))
      case 'ForStatement': {
        let init = '-'
        if (node.init?.type === 'VariableDeclaration') init = this.#declaration(node.init)
        else if (node.init) {
          init = this.#node('Expression', node.init, this.#expression(node.init))
        }
        const parts = [this.#maybe(node.test), this.#statement(node.body), init]
        return this.#node('For', node, ...parts, this.#maybe(node.update))
      }
      case 'ForOfStatement':
        return this.#forOf(node)
      case 'SwitchStatement': {
        const cases = node.cases.map((c) =>
          this.#node('Case', c, this.#maybe(c.test), list(this.#body(c.consequent))),
        )
        return this.#node('Switch', node, this.#expression(node.discriminant), list(cases))
      }
      case 'LabeledStatement':
        return this.#node('Label', node, node.label.name, this.#statement(node.body))
      case 'BreakStatement':
        return this.#node('Break', node, node.label?.name ?? '-')
      case 'ContinueStatement':
        return this.#node('Continue', node, node.label?.name ?? '-')
      default:
        throw unsupported(`${described(node)} does not compile`, node.loc.start)
    }
  }

  #declaration(node) {
    const { kind } = node
    if (!['var', 'let', 'const'].includes(kind)) {
      throw unsupported(`\`${kind}\` does not compile`, node.loc.start)
    }
    const all = node.declarations.map((one) => {
      if (one.id.type !== 'Identifier') {
        throw unsupported('destructuring does not compile', one.loc.start)
      }
      this.#names.add(one.id.name)
      if (kind === 'var') this.#hoisted.add(one.id.name)
      return this.#node('One', one, one.id.name, this.#maybe(one.init))
    })
    return this.#node('Var', node, kind, list(all))
  }

  #forOf(node) {
    if (node.await) throw unsupported('`for await` does not compile', node.loc.start)
    const { left } = node
    const id = left.type === 'VariableDeclaration' ? left.declarations[0].id : left
    if (id.type !== 'Identifier') throw unsupported('destructuring does not compile', id.loc.start)
    this.#names.add(id.name)
    const kind = left.type === 'VariableDeclaration' ? left.kind : 'none'
    if (kind === 'var') this.#hoisted.add(id.name)
    const right = this.#expression(node.right)
    return this.#node('ForOf', node, kind, id.name, right, this.#statement(node.body))
  }

  #expression(node) {
    return this.#deeper(node, () => this.#value(node))
  }

  #value(node) {
    switch (node.type) {
      case 'Literal':
        if (typeof node.value === 'number') return this.#number(node, node.value)
        if (typeof node.value === 'boolean') return this.#node('Bool', node, String(node.value))
        throw unsupported(`${described(node)} does not compile`, node.loc.start)
      case 'Identifier':
        return this.#identifier(node)
      case 'UnaryExpression':
        if (node.operator === 'void') {
          return this.#node('Void', node, this.#expression(node.argument))
        }
        if (!['+', '-', '~', '!'].includes(node.operator)) {
          throw unsupported(`\`${node.operator}\` does not compile`, node.loc.start)
        }
        return this.#node('Unary', node, node.operator, this.#expression(node.argument))
      case 'BinaryExpression':
        return this.#binary(node)
      case 'LogicalExpression':
        return this.#node(
          'Logical',
          node,
          node.operator,
          this.#expression(node.left),
          this.#expression(node.right),
        )
      case 'ConditionalExpression':
        return this.#node(
          'Cond',
          node,
          this.#expression(node.test),
          this.#expression(node.consequent),
          this.#expression(node.alternate),
        )
      case 'AssignmentExpression':
        if (node.operator !== '=' && !ARITHMETIC.includes(node.operator.slice(0, -1))) {
          throw unsupported(`\`${node.operator}\` does not compile`, node.loc.start)
        }
        return this.#node(
          'Assign',
          node,
          node.operator,
          this.#target(node.left),
          this.#expression(node.right),
        )
      case 'UpdateExpression':
        return this.#node(
          'Update',
          node,
          node.operator,
          String(node.prefix),
          this.#target(node.argument),
        )
      case 'SequenceExpression':
        return this.#node('Sequence', node, list(node.expressions.map((e) => this.#expression(e))))
      case 'MemberExpression':
        return this.#member(node)
      case 'CallExpression':
        return this.#call(node)
      default:
        throw unsupported(`${described(node)} does not compile`, node.loc.start)
    }
  }

  #binary(node) {
    const { operator } = node
    if (operator === '==' || operator === '!=') {
      // `x == null` asks for undefined as well, and there is no null here.
      const other = isNull(node.left) ? node.right : isNull(node.right) ? node.left : undefined
      if (other !== undefined) {
        const nothing = this.#node('Undefined', node)
        return this.#node('Binary', node, operator, this.#expression(other), nothing)
      }
    } else if (
      !ARITHMETIC.includes(operator) &&
      !['<', '<=', '>', '>=', '===', '!=='].includes(operator)
    ) {
      throw unsupported(`\`${operator}\` does not compile`, node.loc.start)
    }
    const sides = [this.#expression(node.left), this.#expression(node.right)]
    return this.#node('Binary', node, operator, ...sides)
  }

  #number(node, value) {
    const bits = new BigUint64Array(new Float64Array([value]).buffer)[0]
    return this.#node('Number', node, bits.toString(16))
  }

  #identifier(node) {
    if (node.name === 'NaN') return this.#number(node, Number.NaN)
    if (node.name === 'Infinity') return this.#number(node, Infinity)
    if (node.name === 'undefined') return this.#node('Undefined', node)
    return this.#node('Name', node, node.name)
  }

  #target(node) {
    if (node.type === 'Identifier') return this.#node('Name', node, node.name)
    if (node.type === 'MemberExpression' && node.computed) return this.#member(node)
    throw unsupported('only variables and elements can be assigned', node.loc.start)
  }

  #member(node) {
    if (node.optional) throw unsupported('`?.` does not compile', node.loc.start)
    const object = node.object.type === 'Identifier' ? node.object.name : undefined
    if (node.computed) {
      const parts = [this.#expression(node.object), this.#expression(node.property)]
      return this.#node('Index', node, ...parts)
    }
    const property = node.property.name
    if (object === 'Math' && typeof ORIGINAL.get(property) === 'number') {
      return this.#number(node, ORIGINAL.get(property))
    }
    if (object === 'Number' && NUMBER_CONSTANTS.includes(property)) {
      return this.#number(node, Number[property])
    }
    if (property === 'length') return this.#node('Length', node, this.#expression(node.object))
    throw unsupported(`\`${this.#text(node)}\` does not compile`, node.loc.start)
  }

  #text({ start, end }) {
    return this.#source.slice(start, Math.min(end, start + 40))
  }

  #call(node) {
    const { callee } = node
    let name
    if (callee.type === 'Identifier') {
      const original = GLOBAL_CALLS.get(callee.name)
      if (original !== undefined && globalThis[callee.name] === original) name = callee.name
    } else if (
      callee.type === 'MemberExpression' &&
      !callee.computed &&
      !callee.optional &&
      callee.object.type === 'Identifier'
    ) {
      const { name: object } = callee.object
      const property = callee.property.name
      if (object === 'Math' && typeof ORIGINAL.get(property) === 'function') {
        if (Math[property] !== ORIGINAL.get(property)) {
          throw unsupported(`\`Math.${property}\` has been replaced`, node.loc.start)
        }
        name = property
      } else if (object === 'Number' && NUMBER_CALLS.get(property) === Number[property]) {
        name = `Number.${property}`
      }
    }
    if (name === undefined) {
      const what = `a call of \`${this.#text(callee)}\` does not compile`
      throw unsupported(`${what}: only functions of Math do`, node.loc.start)
    }
    if (GLOBAL_CALLS.has(name)) this.#mustBeGlobal.add(name)
    const args = node.arguments.map((arg) => {
      if (arg.type === 'SpreadElement') throw unsupported('`...` does not compile', arg.loc.start)
      return this.#expression(arg)
    })
    return this.#node('Math', node, name, list(args))
  }

  #mustBeGlobal = new Set()

  /** Whether a local variable hides a global function that is called. */
  get hidden() {
    return [...this.#mustBeGlobal].find((name) => this.#names.has(name))
  }
}

const isNull = (node) => node.type === 'Literal' && node.raw === 'null'

const list = (items) => `[${items.join(' ')}]`

const WORDS = {
  Literal: 'a literal that is no number and no boolean',
  TemplateLiteral: 'a template',
  ThisExpression: '`this`',
  ThrowStatement: '`throw`',
  TryStatement: '`try`',
  NewExpression: '`new`',
  AwaitExpression: '`await`',
  YieldExpression: '`yield`',
  FunctionDeclaration: 'a function inside of the function',
  FunctionExpression: 'a function inside of the function',
  ArrowFunctionExpression: 'a function inside of the function',
  ForInStatement: '`for … in`',
  ObjectExpression: 'an object',
  ArrayExpression: 'an array',
  ClassExpression: 'a class',
  SpreadElement: '`...`',
  ChainExpression: '`?.`',
}

const described = ({ type }) => WORDS[type] ?? `\`${type}\``

/** The tree of a function, and its number of parameters. */
function treeOf(fn) {
  const source = Function.prototype.toString.call(fn)
  if (source.length > MAX_SOURCE) {
    throw unsupported(`the source is longer than ${MAX_SOURCE} characters`)
  }
  if (/\{\s*\[native code\]\s*\}$/.test(source)) {
    throw unsupported(`\`${fn.name}\` has no source: it is a built-in or a bound function`)
  }
  let root
  try {
    root = parseExpressionAt(source, 0, { ecmaVersion: 'latest', locations: true })
  } catch (error) {
    if (error instanceof RangeError) throw unsupported('nested too deeply')
    throw unsupported('a method or a class does not compile; use a function or an arrow function', {
      line: error.loc?.line,
      column: error.loc?.column,
    })
  }
  const writer = new Writer(source)
  const tree = writer.write(root)
  if (writer.hidden !== undefined) {
    throw unsupported(`a variable hides \`${writer.hidden}\``, root.loc.start)
  }
  return { tree, params: root.params.length, associative: associativity(root) }
}

/** How a reducer of two numbers may be split over threads: always, for integers, or never. */
function associativity(root) {
  const [a, b] = root.params.map(({ name }) => name)
  let { body } = root
  if (root.params.length !== 2) return 'never'
  if (body.type === 'BlockStatement') {
    if (body.body.length !== 1 || body.body[0].type !== 'ReturnStatement') return 'never'
    body = body.body[0].argument
  }
  const is = (node, name) => node?.type === 'Identifier' && node.name === name
  const both = (x, y) => (is(x, a) && is(y, b)) || (is(x, b) && is(y, a))
  if (body?.type === 'CallExpression' && body.callee.object?.name === 'Math') {
    const { name } = body.callee.property
    const [x, y, more] = body.arguments
    if (more === undefined && both(x, y)) {
      if (name === 'min' || name === 'max') return 'always'
      if (name === 'imul') return 'integers'
    }
  }
  if (body?.type !== 'BinaryExpression') return 'never'
  if (['&', '|', '^'].includes(body.operator) && both(body.left, body.right)) return 'integers'
  const { left, right, operator } = body
  const sum = operator === '|' && right.type === 'Literal' && right.value === 0 ? left : undefined
  if (sum?.type === 'BinaryExpression' && sum.operator === '+' && both(sum.left, sum.right)) {
    return 'integers'
  }
  return 'never'
}

module.exports = { treeOf, unsupported }
