// Each system behind one small face: { spawn(handler), spawnEcho(), send(actor, message),
// ask(actor, data) }. Loaded by name, so that measuring one never loads another.
const load = {
  iris: async () => (await import('./iris.mjs')).default(),
  'iris-copy': async () => (await import('./iris.mjs')).copying(),
  postmessage: async () => (await import('./threads.mjs')).postMessage(),
  piscina: async () => (await import('./piscina.mjs')).default(),
  sab: async () => (await import('./threads.mjs')).ring(),
  settimeout: async () => (await import('./threads.mjs')).timeouts(),
  nact: async () => (await import('./nact.mjs')).default(),
  comedy: async () => (await import('./comedy.mjs')).default(),
  messagechannel: async () => (await import('./messagechannel.mjs')).default(),
  queue: async () => (await import('./queue.mjs')).bursts(),
  'js-loop': async () => (await import('../offload.mjs')).plain(),
  'queue-microtask': async () => (await import('./queue.mjs')).singles(),
}

export const names = Object.keys(load)

export async function open(name) {
  const system = load[name]
  if (!system) throw new Error(`no system called ${name}; there are ${names.join(', ')}`)
  return system()
}
