'use strict'

// Who hears of failures: the logger and the hook of a runtime.

const { crashText } = require('./errors.js')

/** Whether a logger takes fields before the text, as pino's do. */
function takesFields(logger) {
  try {
    return typeof logger?.bindings === 'function' && typeof logger.child === 'function'
  } catch {
    return false
  }
}

/** What an actor threw as an error that any serializer can show: it may have thrown anything. */
function errorOf({ error, message, stack }) {
  const shown = new Error(message)
  shown.stack = stack ?? message
  try {
    return error instanceof Error && error.stack === stack ? error : shown
  } catch {
    return shown
  }
}

/** The user's logger has failed: what it should have said is not lost. */
function complain(text) {
  try {
    console.error(text)
  } catch {
    // There is nowhere left to say it.
  }
}

class Reports {
  #logger
  #onCrash

  constructor(logger, onCrash) {
    this.#logger = logger
    this.#onCrash = onCrash
  }

  set onCrash(hook) {
    this.#onCrash = hook
  }

  crashed(info) {
    const { pid, reason, message, stack, error } = info
    const report = { pid, reason, message: message ?? reason, stack, error }
    const text = `iris: actor ${pid} ended with ${reason}: `
    if (takesFields(this.#logger)) {
      const fields = { actor: pid, reason, err: errorOf(report) }
      this.log(text + report.message, fields, stack)
    } else {
      this.log(text + (stack ?? report.message))
    }
    this.#tellHook(report)
  }

  /** `await` for hooks that are async functions: what they throw is logged, and ends nothing. */
  async #tellHook(report) {
    try {
      await this.#onCrash?.(report)
    } catch (error) {
      this.log(`iris: the onCrash hook failed: ${crashText(error)[0]}`)
    }
  }

  async tellPressure(hook, pid, level) {
    try {
      await hook(pid, level)
    } catch (error) {
      this.log(`iris: the onPressure hook failed: ${crashText(error)[0]}`)
    }
  }

  /** Logs; `fields` are for loggers that take them. */
  log(text, fields, stack = text) {
    try {
      if (fields === undefined) this.#logger?.error(text)
      else this.#logger.error(fields, text)
    } catch {
      complain(stack === text ? text : `${text}\n${stack}`)
    }
  }
}

module.exports = { Reports }
