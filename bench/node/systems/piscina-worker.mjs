// What piscina runs in its thread: the task comes back.
export default (message) => message
