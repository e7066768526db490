'use strict'

// The private half of a NodeRuntime, for the files that its methods are spread over (runtime-*.js); `install` gives them to the class.
// What is called for every message is in the class itself.

let read

/** Called once, by the class: `reader` answers the lane of a runtime, and `undefined` with `true` if that is closed. */
function lend(reader) {
  read = reader
}

/** The lane of a runtime; a TypeError if it is none. */
const laneOf = (runtime) => read(runtime, false)

/** The lane of a runtime that is open; closed ones throw. */
const openLane = (runtime) => read(runtime, true)

/** Gives `target` the methods of other classes, as its own. */
function install(target, ...parts) {
  for (const { prototype } of parts) {
    const { constructor: _, ...methods } = Object.getOwnPropertyDescriptors(prototype)
    Object.defineProperties(target.prototype, methods)
  }
}

module.exports = { install, laneOf, lend, openLane }
