// What the programs of both ends agree on. Kinds of message, in the first byte:
export const [DATA, EXPECT, ECHO, DONE] = [1, 2, 3, 4]

/** What the other process does with a message; a system with calls of its own needs no `ECHO`. */
export function sink(reply) {
  let left = 0
  return (message) => {
    if (message[0] === DATA) {
      if (--left === 0) reply(Buffer.from([DONE]))
    } else if (message[0] === EXPECT) {
      left = Buffer.from(message).readUInt32LE(1)
    } else {
      reply(message)
    }
  }
}
