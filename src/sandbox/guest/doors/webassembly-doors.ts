/**
 * The doors of WebAssembly: each memory takes gigabytes of the process's addresses, however little is in it. So the thread counts, for the
 * watchdog, how often some are made, and what of it has been collected.
 */
import { freedMemories, madeMemories } from '../../pulse.js'
import { collect } from '../heartbeat.js'
import { standIn } from './stand-in.js'

type Class = new (...all: unknown[]) => object
type Instantiate = (...all: unknown[]) => Promise<object>

/**
 * Makings of which all may be garbage. V8 collects none of it before the process has no addresses left: they take no memory that it counts.
 */
const GARBAGE = 512

// The plugin may change what it finds in the realm: taken before it runs.
const { apply, construct, getOwnPropertyDescriptor } = Reflect
const { then } = Promise.prototype

const count = (): void => {
  if (madeMemories() % GARBAGE === GARBAGE - 1) collect()
}

export const countMemories = (): void => {
  const { WebAssembly } = globalThis as unknown as { WebAssembly: Record<string, unknown> }
  const registry = new FinalizationRegistry(freedMemories)
  const register = registry.register.bind(registry)

  /** What keeps its memories is one of its parts, which others may hold without it. */
  const countBy = (Whole: Class, part: string): ((made: object) => void) => {
    const partOf = getOwnPropertyDescriptor(Whole.prototype as object, part)?.get as () => object
    return (made) => {
      register(apply(partOf, made, []), undefined)
      count()
    }
  }
  const Instance = WebAssembly['Instance'] as Class
  const Memory = WebAssembly['Memory'] as Class
  // It has the memories that its module defines.
  const countInstance = countBy(Instance, 'exports')
  standIn(WebAssembly, 'Instance', countingClass(Instance, countInstance))
  standIn(WebAssembly, 'Memory', countingClass(Memory, countBy(Memory, 'buffer')))
  for (const name of ['instantiate', 'instantiateStreaming']) {
    if (name in WebAssembly) standIn(WebAssembly, name, counting(WebAssembly[name] as Instantiate, countInstance))
  }
}

const countingClass = (Whole: Class, countMade: (made: object) => void): object => {
  const Held = function (...all: unknown[]): unknown {
    if (new.target === undefined) return apply(Whole as unknown as Instantiate, undefined, all)
    const made: object = construct(Whole, all, new.target === Held ? Whole : new.target)
    countMade(made)
    return made
  }
  return Held
}

/** No more of a constructor than what it stands for. What is under way counts, too: thousands can be at once. */
const counting = (whole: Instantiate, countMade: (made: object) => void): object =>
  ({
    held(this: unknown, ...all: unknown[]): unknown {
      count()
      return apply(then, apply(whole, this, all), [
        (made: object) => {
          freedMemories()
          // Of a module it is the instance, of bytes that and the module.
          countMade((getOwnPropertyDescriptor(made, 'instance')?.value as object | undefined) ?? made)
          return made
        },
        (error: unknown) => {
          freedMemories()
          throw error
        },
      ])
    },
  }).held
