/**
 * Source of a statement that tries to get at the ports of its thread by the prototypes that Node dispatches by: what it catches goes to
 * `globalThis.stolen`.
 */

export const PORT_THIEF = `
  globalThis.stolen = new Set()
  for (const target of [MessagePort.prototype, Object.getPrototypeOf(MessagePort.prototype), EventTarget.prototype])
    for (let at = target; at !== Object.prototype; at = Object.getPrototypeOf(at))
      for (const key of Reflect.ownKeys(at)) {
        try {
          const was = target[key]
          if (key === 'constructor' || typeof was !== 'function') continue
          Object.defineProperty(target, key, { configurable: true, value: function (...args) { if (this instanceof MessagePort) globalThis.stolen.add(this); return Reflect.apply(was, this, args) } })
        } catch {}
      }`
