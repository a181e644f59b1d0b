/** Threads that were to end and are held by native code. Node waits for them at the end of the process, so they are counted. */
import type { Generation } from './generation.js'
import type { PluginInstance } from './plugin-instance.js'

export class StuckThreads {
  #count = 0

  get count(): number {
    return this.#count
  }

  /** One may end after all: then it counts no longer. */
  add(instance: PluginInstance, { host }: Generation): void {
    instance.stuckThreads++
    this.#count++
    void host.exited.then(() => {
      instance.stuckThreads--
      this.#count--
    })
  }
}
