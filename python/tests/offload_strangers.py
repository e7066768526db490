"""Functions as strangers write them, with arguments for each: `test_jit_strangers.py` calls them offloaded and not.

Left as it was written, formatters and checkers do not see it: odd code is the point.
"""
import math, sys, struct, functools, asyncio, random, operator, cmath, itertools
from math import sin, hypot as hyp, floor, pi
from array import array
import numpy as np
INF, NAN = math.inf, math.nan
CASES = []
def case(*argsets):
    def deco(f):
        CASES.append((f, argsets)); return f
    return deco
def L(f): return f   # lazily built args
def A(*a): return lambda: a

G = 3
GF = 2.5
LIMIT = 10**30
FLAG = True
NAMES = ("a", "b")
TABLE = [1.0, 2.0, 3.0]
TUP = (1, 2, 3)

nums = [0, 1, -1, 2, 7, -7, 2.5, -0.0, 0.0, NAN, INF, -INF, True, False, 2**62, -2**63, 2**63-1, 1e308, 5e-324, 2**53+1, 10**20, -10**400, 0.1, 3.7, "s", None, 1j]
unary = [A(x) for x in nums]
small = [0, 1, -1, 3, -7, 2.5, -0.0, 0.0, NAN, INF, True, 2**62, -2**63, 1e308, 10**20, 0.1, None, "s"]
binary = [A(x, y) for x in small for y in small]
def ints(*s): return [A(x) for x in s]

@case(*unary)
def collatz(n):
    c = 0
    if n <= 0 or n != n or n > 1e6: return -1
    while n != 1 and c < 1000:
        n = n // 2 if n % 2 == 0 else 3 * n + 1
        c += 1
    else:
        c += 100
    return c
@case(*binary)
def gcd(a, b):
    k = 0
    while b:
        a, b = b, a % b
        k += 1
        if k > 500: break
    return a
@case(*binary)
def chained(a, b): return a < b < 5 != a
@case(*binary)
def chained2(a, b): return 0 <= a <= b == b
@case(*binary)
def andor(a, b): return a and b or a
@case(*binary)
def notand(a, b): return not a and not b
@case(*binary)
def tern(a, b): return a if a > b else b if b > 0 else -a
@case(*binary)
def aug(a, b):
    a += b; a -= 1; a *= 2; a //= 3; a %= 100; a **= 2
    return a
ibin=[A(x,y) for x in [0,1,-1,7,-8,True,2**62,-2**63,2.5,None] for y in [0,1,-1,5,63,64,70,True,2.5]]
@case(*ibin)
def augbits(a, b):
    a &= b; a |= 1; a ^= 7; a <<= 2; a >>= 1
    return a
@case(*binary)
def divs(a, b): return a / b, a // b, a % b
@case(*binary)
def dm(a, b): return divmod(a, b)
pbin=[A(x,y) for x in [0,1,-1,2,-3,2.5,-2.5,-0.0,0.0,NAN,INF,-INF,True,2**31,-2**63,1e308,5e-324,0.1,None,'s'] for y in [0,1,-1,2,3,-2,0.5,-0.5,NAN,INF,-INF,True,62,63,64,1000.0,5e-324,None,'s']]
@case(*pbin)
def powf(a, b): return a ** b
@case(*pbin)
def pw(a, b): return pow(a, b)
@case(*binary)
def mx(a, b): return max(a, b), min(a, b), max(a, b, 0), min(1.0, a, b)
@case(*binary)
def mxlist(a, b): return max([a, b]), min((a, b))
@case(*binary)
def sm(a, b): return sum([a, b, 1]), sum((a, b)), sum([a,b], 5)
@case(*binary)
def sm2(a, b): return sum(x * a for x in (a, b, 2.0))
@case(*binary)
def anyall(a, b): return any(x > 0 for x in (a, b)), all([a, b]), any((a, b)), all(x for x in (a, b))
@case(*binary)
def rnd2(a, b): return round(a, 2), round(b, -1)
nb=[A(x,y) for x in small for y in (0,1,-1,3,-7,2.5,True,None,'s')]
@case(*nb)
def rndn(a, b): return round(a, b)
@case(*[A(x, n) for x in (2.675, 2.5, -2.5, 1234.5678, 1e300, 5e-324, NAN, INF, 15, 25, -15, 2**63-1, 1e22, 0.5, -0.0, 123456789.987654321) for n in (0, 1, 2, 3, -1, -2, 15, 22, 23, 300, 400, -400, -308, True, None)])
def rndn2(a, n): return round(a, n)
@case(*unary)
def rnd(a): return round(a)
@case(*unary)
def conv(a): return int(a), float(a), bool(a)
@case(*unary)
def conv2(a): return float(a)
@case(*unary)
def conv3(a): return int(a)
@case(*unary)
def absneg(a): return abs(a), -a, +a
@case(*unary)
def inv(a): return ~a
@case(*unary)
def is_none(a): return a is None, a is not None
@case(*unary)
def emptyret(a):
    if a: return
    return a
@case(*unary)
def noret(a):
    a + 1
@case(*unary)
def intbase(a): return int(a, 10)
@case(*unary)
def noargs(a): return int(), float(), bool()
@case(*binary)
def pow3(a, b): return pow(a, b, 7)
@case(*[A(a,b,c) for a in (2,3,-3,0,10,True,2**62,2.0) for b in (0,1,-1,5,1000,True,2**62) for c in (1,-1,7,-7,0,12,2**62+1,2**63-1,True,-2**63)])
def pow3b(a, b, c): return pow(a, b, c)
@case(*binary)
def hy(a, b): return math.hypot(a, b)
@case(*binary)
def hy2(a, b): return hyp(a, b)
@case(*unary)
def hy3(a): return math.hypot(a, 1.0, 2.0), math.hypot(a), math.hypot()
@case(*binary)
def dist(a, b): return math.dist((a, b), (1.0, 2.0))
@case(*binary)
def fm(a, b): return math.fmod(a, b)
@case(*binary)
def mpow(a, b): return math.pow(a, b)
@case(*binary)
def matan2(a, b): return math.atan2(a, b)
@case(*binary)
def mcopysign(a, b): return math.copysign(a, b)
@case(*binary)
def mlog(a, b): return math.log(a, b)
@case(*binary)
def mrem(a, b): return math.remainder(a, b)
@case(*binary)
def mgcd(a, b): return math.gcd(a, b)
@case(*ibin)
def mldexp(a, b): return math.ldexp(a, b)
@case(*ibin)
def mcomb(a, b): return math.comb(a, b)
@case(*binary)
def misclose(a, b): return math.isclose(a, b)
@case(*binary)
def misclose2(a, b): return math.isclose(a, b, rel_tol=0.1)
@case(*unary)
def mfloor(a): return math.floor(a), math.ceil(a), math.trunc(a)
@case(*unary)
def mfloor2(a): return floor(a)
@case(*unary)
def msin(a): return sin(a) + math.cos(a) * pi
@case(*ints(0,1,5,20,21,25,-1,2.0,True))
def mfact(a): return math.factorial(a)
@case(*unary)
def misqrt(a): return math.isqrt(a)
@case(*unary)
def mfrexp(a): return math.frexp(a)
@case(*unary)
def mmodf(a): return math.modf(a)
@case(*unary)
def mfsum(a): return math.fsum([a, a, 1.0])
@case(*unary)
def mprod(a): return math.prod([a, 2, 3])
@case(*unary)
def mulp(a): return math.ulp(a)
@case(*binary)
def mnextafter(a, b): return math.nextafter(a, b)

def helper(x, y=2, *, k=1): return x * y + k
def helper2(x, y=2): return x * y + G
def helper3(x, y=2.5, z=None):
    if z is None: return x + y
    return x - y + z
@case(*binary)
def callkw(a, b): return helper2(a, y=b)
@case(*binary)
def callkw2(a, b): return helper2(y=a, x=b)
@case(*binary)
def callkw3(a, b): return helper3(a, z=b)
@case(*binary)
def callkw4(a, b): return helper(a, k=b)
@case(*binary)
def calldef(a, b): return helper2(a) + helper3(b)
@case(*binary)
def callbad(a, b): return helper2(a, b, 3)
@case(*binary)
def callbad2(a, b): return helper2(a, q=3)
@case(*binary)
def callbad3(a, b): return helper2()
@case(*unary)
def fib(n):
    if n < 2: return n
    if n > 12: return None
    return fib(n - 1) + fib(n - 2)
def is_even(n):
    if n == 0: return True
    return is_odd(n - 1)
def is_odd(n):
    if n == 0: return False
    return is_even(n - 1)
@case(*ints(0, 5, 100, -1, 900, 5000, 2.0, True))
def evens(n): return is_even(n)
@case(*unary)
def fact(n): return 1 if n <= 1 or n > 30 else n * fact(n - 1)
@case(*unary)
def defaults(a, b=2, c=1.5): return a * b + c
@case(A(1), A(1, 2), A(1,2,3), A())
def posonly(a, /, b=2): return a * b
@case(*unary)
def varargs(*a): return sum(a)
@case(*unary)
def kwonly(a, *, k=2): return a * k
@case(*unary)
def globs(a): return a * G + GF
@case(*unary)
def globhuge(a): return a + LIMIT
@case(*unary)
def globflag(a): return a if FLAG else -a
@case(*unary)
def globlist(a): return TABLE[1] * a
@case(*unary)
def globtup(a): return TUP[1] * a
@case(*unary)
def strs(a): return f"{a}"
@case(*unary)
def strlit(a): return "x" if a else "y"
@case(*unary)
def lists(a): return [a, a * 2, a + 1]
@case(*unary)
def nestlist(a): return [[a], [a]]
@case(*unary)
def listcomp(a): return [x * a for x in range(5) if x % 2]
@case(*unary)
def listcomp2(a): return [x * y for x in range(3) for y in range(x)]
@case(*unary)
def app(a):
    out = []
    for i in range(5):
        if i == 3: continue
        out.append(a * i)
    return out
@case(*unary)
def applist(a):
    out = [0] * 5
    for i in range(5): out[i] = a
    return out
@case(*unary)
def alias(a):
    x = []
    y = x
    y.append(a)
    return x, y
@case(*unary)
def aliasid(a):
    x = [a]
    t = (x, x)
    return t[0] is t[1]
@case(*unary)
def aliasret(a):
    x = [a]
    return (x, x)
@case(*unary)
def listeq(a): return [a] == [a]
@case(*unary)
def tupeq(a): return (a, 1) == (a, 1)
@case(*unary)
def tuplt(a): return (a, 1) < (a, 2)
@case(*unary)
def tupadd(a): return (a, 1) + (2,)
@case(*unary)
def inop(a): return a in (1, 2, 3)
@case(*unary)
def lstpop(a):
    x = [a, 1, 2]
    return x.pop()
@case(*unary)
def lenlist(a): return len([a, a]), len((a,))
@case(*unary)
def listmix(a):
    x = [1, 2.5, True]
    x.append(a)
    s = 0
    for v in x: s += v
    return s
@case(*unary)
def negidx(a):
    x = [a, 2, 3]
    return x[-1], x[-3], x[0]
@case(*unary)
def idxerr(a):
    x = [a, 2, 3]
    return x[3]
@case(*unary)
def loopvar(a):
    for i in range(3): pass
    return i
@case(*ints(0, 3, -1))
def loopvar2(a):
    for i in range(a): pass
    return i
@case(*unary)
def forelse(a):
    for i in range(10):
        if i == a: break
    else:
        return "none" and -1
    return i
@case(*unary)
def rangeneg(a):
    s = 0
    for i in range(10, -5, -3): s = s * 2 + i
    return s
@case(*[A(a,b,c) for a in (0,5,-5,True,2.0) for b in (0,5,-5) for c in (1,-1,0,3,2.0)])
def ranges(a, b, c):
    s = []
    for i in range(a, b, c): s.append(i)
    return s
@case(*unary)
def rangemod(a):
    for i in range(3):
        i += 10
    return i
@case(*unary)
def unbound(a):
    if a: x = 1
    return x
@case(*unary)
def delvar(a):
    x = a
    del x
    return x
@case(*unary)
def typechg(a):
    x = 1
    for i in range(3):
        x = x * 1.5 if i == 1 else x + a
    return x
@case(*unary)
def walrus(a):
    if (n := a * 2) > 3: return n
    return -n
@case(*unary)
def lam(a): return (lambda x: x + 1)(a)
@case(*unary)
def nested(a):
    def inner(x): return x + a
    return inner(2)
@case(*unary)
def tryx(a):
    try: return 1 / a
    except ZeroDivisionError: return 0
@case(*unary)
def raisex(a):
    if a == 0: raise ValueError("zero!")
    return a
@case(*unary)
def assertx(a):
    assert a, "falsy"
    return a
@case(*unary)
def tupunpack(a):
    (x, y), z = (a, 1), 2
    return x + y + z
@case(*unary)
def badunpack(a):
    x, y = a
    return x
@case(*unary)
def star(a):
    x, *y = (a, 1, 2)
    return y
@case(*unary)
def swap3(a):
    x, y, z = a, 2, 3
    x, y, z = z, x, y
    return x, y, z
@case(*unary)
def multiassign(a):
    x = y = a
    x += 1
    return x, y
@case(*unary)
def evalorder(a):
    x = 1
    return (x := x + 1) * 10 + x + (x := a)
@case(*unary)
def rettup(a): return a, (a, 1), True, None, 2.5
@case(*unary)
def bigconst(a): return a + 100000000000000000000
@case(*unary)
def mixeq(a): return a == 1, a != 1, a == 1.0, a == True, a == None
@case(*unary)
def iseq(a): return a is True
@case(*unary)
def boolops(a): return (a > 0) + (a < 0), (a > 0) * 2.5, (a > 0) & True, (a>0) | 4, (a > 0) ^ (a < 1), -(a > 0), ~(a>0), (a>0) << 3, (a>0)/2, (a>0)//1, (a>0)%2, (a>0)**2
@case(*unary)
def complexlit(a): return a + 1j
@case(*unary)
def matmul(a): return a @ a
@case(*unary)
def attr(a): return a.real
@case(*unary)
def attr2(a): return a.is_integer()
@case(*unary)
def bitlen(a): return a.bit_length()
@case(*unary)
def prints(a): print(end=""); return a
@case(*unary)
def isin(a): return isinstance(a, int)
@case(*unary)
def enum(a):
    s = 0
    for i, x in enumerate((a, 2, 3)): s += i * x
    return s
@case(*unary)
def zips(a):
    s = 0
    for x, y in zip((a, 2), (3, 4)): s += x * y
    return s
@case(*unary)
def rev(a):
    s = 0
    for x in reversed(range(4)): s = s * 3 + x + a
    return s
@case(*unary)
def srt(a): return sorted([3, 1, 2, a])
@case(*unary)
def minkey(a): return min([3, a], key=lambda v: -v)
@case(*unary)
def mindef(a): return min([], default=a)
@case(*unary)
def minempty(a): return min([])
@case(*unary)
def minempty2(a): return max(x for x in range(0))
@case(*unary)
def sumstart(a): return sum([1, 2], a), sum([1,2], start=a)
@case(*unary)
def sumempty(a): return sum([]), sum((), 2.5)
@case(*unary)
def minone(a): return min(a)
@case(*unary)
def listmul(a): return [a] * 3
@case(*unary)
def slc(a): return [1,2,3][1:]
@case(*unary)
def whiletrue(a):
    i = 0
    while True:
        i += 1
        if i > 10: return i * a
@case(*unary)
def nestedbreak(a):
    c = 0
    for i in range(5):
        for j in range(5):
            if j == 3: break
            if i == 2: continue
            c += i * j
        else:
            c += 1000
    return c * a
@case(*unary)
def deadcode(a):
    return a
    a.foo.bar()
@case(*unary)
def passdoc(a):
    """doc"""
    ...
    pass
@case(*[A(x) for x in (0,1,-1,2,0.25,-0.5,-1.75,NAN,INF,True,None)])
def mandel(a):
    z = 0; 
    for i in range(20):
        z = z * z + a
        if abs(z) > 2: return i
    return 20
@case(*unary)
def ispr(n):
    if n < 2: return False
    if n > 10**6: return None
    i = 2
    while i * i <= n:
        if n % i == 0: return False
        i += 1
    return True
@case(*unary)
def newton(a):
    x = a
    for _ in range(20): x = 0.5 * (x + a / x)
    return x
@case(*unary)
def shadow(a):
    sum = a * 2
    return sum + 1
@case(*unary)
def shadow2(a):
    len = 3
    for abs in range(3): len += abs
    return len, a
@case(*unary)
def compscope(a):
    x = 10
    y = [x for x in range(3)]
    return x, y, a
@case(*unary)
def gensq(a): return sum(x*x for x in range(10) if x > a)
@case(*unary)
def hashbool(a): return {1: a}
@case(*unary)
def fstr(a): return f"{a:.2f}"
@case(*unary)
def globwrite(a):
    global GW
    GW = a
    return GW
@case(*binary)
def swapcmp(a, b):
    if a > b: a, b = b, a
    return b - a
@case(*binary)
def lerp(a, b, t=0.25): return a + (b - a) * t
@case(*binary)
def clamp(a, b): return max(0, min(a, b))
@case(*binary)
def xor(a, b): return bool(a) != bool(b), bool(a) ^ bool(b)
@case(*binary)
def intmix(a, b): return a * 1.0 == b, a == b * 1.0, a < b + 0.5

# --- buffers
def fa(*v): return array('d', v)
seq_makers = []
for tc in 'bBhHiIlLqQ':
    seq_makers.append((f'array_{tc}', lambda tc=tc: array(tc, [1, 2, 3, 100, 5])))
for tc in 'fd':
    seq_makers.append((f'array_{tc}', lambda tc=tc: array(tc, [1.5, -0.0, NAN, INF, 1e30])))
seq_makers.append(('array_u', lambda: array('u', 'abc')))
seq_makers.append(('array_d0', lambda: array('d')))
seq_makers.append(('array_Qbig', lambda: array('Q', [2**64-1, 1, 2**63])))
seq_makers.append(('array_qbig', lambda: array('q', [2**63-1, 1, -2**63])))
for dt in ['f8', 'f4', 'f2', 'i8', 'i4', 'i2', 'i1', 'u8', 'u4', 'u2', 'u1', '?', '>f8', '>i4', '>u2', 'c16', 'O', 'U3', 'M8[s]', 'g']:
    def mk(dt=dt):
        if dt == 'U3': return np.array(['a', 'b'], dtype=dt)
        return np.array([1, 0, 3, 100, 5]).astype(dt)
    seq_makers.append((f'np_{dt}', mk))
seq_makers += [
 ('np_2d', lambda: np.arange(6.0).reshape(2, 3)),
 ('np_2df', lambda: np.asfortranarray(np.arange(6.0).reshape(2, 3))),
 ('np_2dT', lambda: np.arange(6.0).reshape(2, 3).T),
 ('np_stride', lambda: np.arange(10.0)[::2]),
 ('np_neg', lambda: np.arange(5.0)[::-1]),
 ('np_0d', lambda: np.array(2.5)),
 ('np_empty', lambda: np.array([])),
 ('np_emptyi', lambda: np.array([], dtype='i8')),
 ('np_ro', lambda: (lambda a: (a.setflags(write=False), a)[1])(np.arange(5.0))),
 ('np_scalar', lambda: np.float64(2.5)),
 ('np_scalari', lambda: np.int64(3)),
 ('np_scalarf4', lambda: np.float32(2.5)),
 ('np_bool', lambda: np.bool_(True)),
 ('np_matrix', lambda: np.matrix([[1.0, 2.0]])),
 ('np_masked', lambda: np.ma.array([1.0, 2.0, 3.0], mask=[0, 1, 0])),
 ('np_rec', lambda: np.zeros(3, dtype=[('a', 'f8')])),
 ('np_nan', lambda: np.array([NAN, 1.0, -0.0, INF, -INF])),
 ('np_big', lambda: np.array([1e308, 1e308, -1e308])),
 ('np_bcast', lambda: np.broadcast_to(np.array([1.0]), (4,))),
 ('mv_d', lambda: memoryview(fa(1.0, 2.0, -0.0))),
 ('mv_neg', lambda: memoryview(fa(1.0, 2.0, 3.0))[::-1]),
 ('mv_step', lambda: memoryview(fa(1.0, 2.0, 3.0, 4.0))[::2]),
 ('mv_bytes', lambda: memoryview(b'abc')),
 ('mv_ba', lambda: memoryview(bytearray(b'abc'))),
 ('mv_c', lambda: memoryview(b'abc').cast('c')),
 ('mv_2d', lambda: memoryview(bytes(range(6))).cast('B', (2, 3))),
 ('mv_0d', lambda: memoryview(bytes(8)).cast('d', ())),
 ('mv_bool', lambda: memoryview(bytes([0, 1, 2])).cast('?')),
 ('mv_N', lambda: memoryview(bytes(16)).cast('N')),
 ('mv_empty', lambda: memoryview(b'')),
 ('mv_rel', lambda: (lambda m: (m.release(), m)[1])(memoryview(b'abc'))),
 ('mv_np', lambda: memoryview(np.arange(4.0))),
 ('bytes', lambda: b'abc'), ('bytearray', lambda: bytearray(b'abc')),
 ('list', lambda: [1, 2.5, 3]), ('tuple', lambda: (1, 2.5, 3)), ('range', lambda: range(4)),
 ('set', lambda: {1}), ('dict', lambda: {0: 1.0}), ('str', lambda: 'abc'),
 ('none', lambda: None), ('int', lambda: 3), ('float', lambda: 2.5),
]
seqs = [(lambda mk=mk: (mk(),)) for _, mk in seq_makers]
seqs2 = [(lambda mk=mk, mk2=mk2: (mk(), mk2())) for _, mk in seq_makers for _, mk2 in seq_makers if True][::7]
@case(*seqs)
def bsum(a):
    s = 0
    for i in range(len(a)): s += a[i]
    return s
@case(*seqs)
def bsum2(a):
    s = 0.0
    for x in a: s = s + x * 2
    return s
@case(*seqs)
def bsumb(a): return sum(a)
@case(*seqs)
def bmax(a): return max(a)
@case(*seqs)
def bminmax(a): return min(a), max(a), len(a)
@case(*seqs)
def bany(a): return any(a)
@case(*seqs)
def ball(a): return all(x > 0 for x in a)
@case(*seqs)
def blc(a): return [x + 1 for x in a]
@case(*seqs)
def bfirst(a): return a[0]
@case(*seqs)
def blast(a): return a[-1]
@case(*seqs)
def boob(a): return a[len(a)]
@case(*seqs)
def boobneg(a): return a[-len(a) - 1]
@case(*seqs)
def bset(a):
    for i in range(len(a)): a[i] = i
    return None
@case(*seqs)
def bsetf(a):
    for i in range(len(a)): a[i] = a[i] * 2
@case(*seqs)
def bsethalf(a):
    for i in range(len(a)): a[i] = i / 2
@case(*seqs)
def baug(a):
    for i in range(len(a)): a[i] += 1
    return a[0]
@case(*seqs)
def bseterr(a):
    for i in range(len(a) + 1): a[i] = 7
@case(*seqs)
def bsetbig(a):
    a[0] = 300
    a[1] = -1
    a[2] = 2**70
@case(*seqs)
def bsetbool(a):
    a[0] = True
    a[1] = a[0]
@case(*seqs)
def bswap(a):
    a[0], a[-1] = a[-1], a[0]
    return a[0]
@case(*seqs)
def bbubble(a):
    n = len(a)
    for i in range(n):
        for j in range(0, n - i - 1):
            if a[j] > a[j + 1]:
                a[j], a[j + 1] = a[j + 1], a[j]
@case(*seqs)
def bdiv0(a):
    a[0] = 9
    return 1 / (a[0] - 9)
@case(*seqs)
def bprefix(a):
    for i in range(1, len(a)): a[i] += a[i - 1]
@case(*seqs)
def bfor2(a):
    t = 0
    for x in a:
        for y in a: t += x * y
    return t
@case(*seqs)
def bpoly(a):
    r = 0
    for c in a: r = r * 2 + c
    return r
@case(*seqs)
def bmean(a): return sum(a) / len(a)
@case(*seqs)
def bvar(a):
    m = sum(a) / len(a)
    return sum((x - m) ** 2 for x in a) / len(a)
@case(*seqs)
def bnorm(a): return math.sqrt(sum(x * x for x in a))
@case(*seqs)
def bargmax(a):
    best = 0
    for i in range(1, len(a)):
        if a[i] > a[best]: best = i
    return best
@case(*seqs)
def bcount(a):
    c = 0
    for x in a:
        if x == 1: c += 1
    return c
@case(*seqs)
def bpair(a):
    return a[0], a[1] / 2, -a[0], a[0] == 1, a[0] < 2
@case(*seqs)
def bint(a): return int(a[0]), float(a[0]), bool(a[0]), round(a[0]), abs(a[0])
@case(*seqs)
def bidiv(a): return a[0] // 2, a[0] % 2, a[0] / 0.5, divmod(a[0], 3)
@case(*seqs)
def bidiv0(a): return a[0] / a[1]
@case(*seqs)
def bbits(a): return a[0] & 1, a[0] | 2, a[0] << 1, ~a[0]
@case(*seqs)
def bidxfloat(a): return a[1.0]
@case(*seqs)
def bidxbool(a): return a[True]
@case(*seqs)
def bslice(a): return a[1:]
@case(*seqs)
def bin_(a): return 1 in a
@case(*seqs)
def benum(a):
    s = 0
    for i, x in enumerate(a): s += i * x
    return s
@case(*seqs)
def bstore_ret(a):
    a[0] = 5
    return a[0], len(a)
@case(*seqs2)
def dot(a, b):
    s = 0.0
    for i in range(len(a)): s += a[i] * b[i]
    return s
@case(*seqs2)
def axpy(a, b):
    for i in range(len(a)): a[i] = a[i] + 2 * b[i]
@case(*seqs2)
def copyto(a, b):
    for i in range(len(a)): b[i] = a[i]
    return len(b)
def shared_pair():
    a = array('d', [1.0, 2.0, 3.0]); return (a, a)
@case(shared_pair, lambda: (lambda n: (n, n[::-1]))(np.arange(4.0)), lambda: (lambda n: (n[1:], n[:-1]))(np.arange(5.0)), lambda: (lambda n: (n, memoryview(n)))(array('i', [1,2,3])))
def aliased(a, b):
    for i in range(len(a)): a[i] = b[i - 1] + 1
    return a[0]
