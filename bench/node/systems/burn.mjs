// Some milliseconds of arithmetic: the handler of an actor of `spawnThreaded`, and a task of piscina.
const ROUNDS = 4e6

export default function burn(message) {
  let x = message[0]
  for (let i = 0; i < ROUNDS; i++) x = Math.imul(x ^ (x >>> 15), 0x2c1b3c6d) + i
  return String(x)
}
