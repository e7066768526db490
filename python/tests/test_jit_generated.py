"""Generated functions x inputs agree three ways: CPython, the IR interpreter, native code."""

from __future__ import annotations

import os
import random
import sys
import warnings

import iris
import pytest
from iris import _iris
from jit_generator import inputs, module, outcome

CASES = int(os.environ.get("IRIS_JIT_CASES", "5000"))
SEED = int(os.environ.get("IRIS_JIT_SEED", "0")) or random.SystemRandom().randrange(2**32)
INPUTS = 10
FUNCTIONS = 25


@pytest.mark.timeout(3000)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::SyntaxWarning")
def test_generated_functions_agree_three_ways() -> None:
    print(f"seed {SEED}", file=sys.stderr)
    rng = random.Random(SEED)
    done = native = tried = 0
    while done < CASES:
        seed = rng.getrandbits(48)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            source, functions = module(seed, FUNCTIONS)
        for name, plain in functions.items():
            compiled = iris.offload(plain)
            _iris.jit_interpret(True)
            interpreted = iris.offload(plain)
            for args in inputs(rng, 2, INPUTS):
                expected = outcome(plain, args)
                _iris.jit_interpret(True)
                spec = outcome(interpreted, args)
                _iris.jit_interpret(False)
                got = outcome(compiled, args)
                body = source[source.index(f"def {name}(") :].split("\n\n")[0]
                where = f"IRIS_JIT_SEED={SEED}, module {seed}: {name}{args}\n{body}"
                assert got == expected, f"native: {where}\n{compiled.explain()}"
                assert spec == expected, f"interpreter: {where}"
                done += 1
            _iris.jit_interpret(False)
            tried += 1
            native += any(v["runs"] == "native" for v in compiled._report()["variants"])
    print(f"{done} cases, {native} of {tried} functions ran natively", file=sys.stderr)
    # 95 % did when this was written; below, the test would compare Python with itself.
    assert native * 4 >= tried * 3, f"only {native} of {tried} functions compiled"
