"""The Python half of the two-process demo: a node that counts words for whoever asks by name.

It is started by examples/node/mesh.mjs, which gives it the address of the Node half.
"""

import json
import sys
from collections import Counter

from iris import Runtime


def main() -> None:
    """Listen, offer `words`, use the other node's `shout`, and go when stdin ends."""
    other = sys.argv[1]
    with Runtime() as rt:
        addr = rt.listen("127.0.0.1:0")

        def count(text: bytes) -> bytes:
            top = Counter(text.decode().split()).most_common(3)
            return json.dumps(top).encode()

        rt.register("words", rt.spawn(count))
        print(addr, flush=True)
        shout = rt.resolve_remote(other, "shout")
        if shout is not None:
            answer = rt.call_blocking(shout, b"python greets node")
            print(f"python got: {bytes(answer).decode()}", flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
