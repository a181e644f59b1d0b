/** The inspector of one plugin, on one port whichever generation runs. Loaded when somebody looks into a plugin. */
import { connect, createServer, type Server, type Socket } from 'node:net'
import { argumentInvalid, type OptionChecks, optionsFault } from '../../arguments.js'
import { PlugbayError } from '../../errors.js'
import { reasonOf } from '../../wire-error.js'
import type { EffectiveLimits } from '../options/options.js'

/** How to look into a plugin: see `kernel.inspect()`. */
export interface InspectOptions {
  /** Default: 9229, or any other when that is taken. */
  port?: number | undefined
  /** Each generation waits for a debugger before the first line of its entry module, and stops there. */
  wait?: boolean | undefined
}

const OPTIONS: OptionChecks = {
  port: (value) =>
    Number.isInteger(value) && (value as number) >= 0 && (value as number) < 65_536 ? undefined : 'Give a number below 65536.',
  wait: (value) => (typeof value === 'boolean' ? undefined : 'Give true or false.'),
}

const HOST = '127.0.0.1'
const USUAL_PORT = 9_229
/** What stands in the place of a deadline that there is not. */
const NONE = 0

/** A generation's own inspector, and the connections with it. */
interface Target {
  port: number
  sockets: Set<Socket>
}

export class Inspection {
  readonly plugin: string
  readonly waits: boolean
  readonly #server: Server
  /** Those that live, the newest last. */
  readonly #generations = new Set<Target>()

  private constructor(plugin: string, waits: boolean) {
    this.plugin = plugin
    this.waits = waits
    this.#server = createServer((socket) => this.#forward(socket)).unref()
  }

  /** Rejects with OPTIONS_INVALID, also for a port that cannot be had. */
  static async open(plugin: string, options: InspectOptions): Promise<Inspection> {
    const fault = optionsFault(options, OPTIONS)
    if (fault !== undefined) throw argumentInvalid('kernel.inspect()', fault)
    const { port, wait = false } = options
    const inspection = new Inspection(plugin, wait)
    try {
      await inspection.#listen(port ?? USUAL_PORT).catch((error: unknown) => {
        if (port !== undefined) throw error
        return inspection.#listen(0)
      })
    } catch (error) {
      throw new PlugbayError(
        'OPTIONS_INVALID',
        `The inspector of plugin '${plugin}' cannot listen on port ${port}: ${reasonOf(error)}. Name another one, or none for any that is free.`,
        { plugin, cause: error, details: { port } },
      )
    }
    return inspection
  }

  #listen(port: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject).listen(port, HOST, () => {
        this.#server.off('error', reject)
        resolve()
      })
    })
  }

  get port(): number {
    const address = this.#server.address()
    return typeof address === 'object' && address !== null ? address.port : 0
  }

  /** Who sits at a breakpoint has no deadline; only a stop has an end, so that a plugin can be replaced from there. */
  unhurried(limits: EffectiveLimits): EffectiveLimits {
    return { ...limits, loadTimeout: NONE, initializeTimeout: NONE, startTimeout: NONE, healthTimeout: NONE }
  }

  /** Throws ISOLATION_UNAVAILABLE for a plugin that has no place of its own. */
  assertOwnPlace(isolation: string): void {
    if (isolation !== 'inline') return
    throw new PlugbayError(
      'ISOLATION_UNAVAILABLE',
      `Plugin '${this.plugin}' runs inline, in the thread of the application, and has no inspector of its own. Start the application with node --inspect, or run the plugin in a thread.`,
      { plugin: this.plugin, details: { isolation } },
    )
  }

  /** From now on connections go to the generation whose own inspector is at `url`. Returns the URL to connect to, and the undo. */
  lead(url: string): { url: string; end: () => void } {
    const own = new URL(url)
    const generation: Target = { port: Number(own.port), sockets: new Set() }
    this.#generations.add(generation)
    return { url: `ws://${HOST}:${this.port}${own.pathname}`, end: () => this.#end(generation) }
  }

  /** A thread does not end while a debugger is on it. */
  #end(generation: Target): void {
    this.#generations.delete(generation)
    for (const socket of generation.sockets) socket.destroy()
  }

  #forward(socket: Socket): void {
    const newest = [...this.#generations].at(-1)
    if (newest === undefined) return void socket.destroy()
    const inner = connect(newest.port, HOST)
    for (const [end, other] of [
      [socket, inner],
      [inner, socket],
    ] as const) {
      newest.sockets.add(end)
      // A debugger that goes, or a generation that ends, is what happens all the time.
      end
        .on('error', () => {})
        .once('close', () => {
          newest.sockets.delete(end)
          other.destroy()
        })
      end.pipe(other)
    }
  }

  close(): void {
    this.#server.close()
    for (const generation of this.#generations) this.#end(generation)
  }
}
