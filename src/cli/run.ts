/** Runs a kernel from the command line until it is told to stop. */

import type { Kernel } from '../kernel/kernel.js'
import { assertPlaces } from '../kernel/manifest/discovery.js'
import { type KernelOptions, resolveOptions } from '../kernel/options/options.js'
import { duration, renderBootTree } from '../kernel/reports/boot-report.js'
import type { InspectOptions } from '../kernel/supervision/inspection.js'
import { terminalStyle, wantsColor } from '../kernel/text/terminal-style.js'
import { tellComings, tellSavedOptions } from './narration.js'
import { EXIT } from './usage.js'

export interface RunOptions {
  /** A plugin to look into. */
  inspect?: ({ plugin: string } & InspectOptions) | undefined
  /** Gets the kernel before it boots; what it returns is called when the kernel has stopped. */
  attend?: ((kernel: Kernel) => () => Promise<void>) | undefined
  /** Where the options may be written: while files are watched, a save there is told. */
  optionsFiles?: readonly string[] | undefined
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/**
 * Boots a kernel, prints its boot tree and keeps it running. The first SIGINT, SIGTERM or SIGHUP drains and stops it in order, also
 * while it boots; a second one ends the process at once. Resolves when it has stopped; throws what made the boot fail.
 */
export const runKernel = async (options: KernelOptions, { inspect, attend, optionsFiles = [] }: RunOptions = {}): Promise<void> => {
  const { createKernel } = await import('../index.js')
  assertPlaces(resolveOptions(options))
  const style = terminalStyle(wantsColor(process.stdout))
  const say = (text: string): void => void process.stdout.write(`${text}\n`)

  let tellStop: (signal: NodeJS.Signals) => void = () => {}
  const told = new Promise<NodeJS.Signals>((resolve) => {
    tellStop = resolve
  })
  let signals = 0
  let stopSignal: NodeJS.Signals | undefined
  const onSignal = (signal: NodeJS.Signals): void => {
    signals += 1
    if (signals > 1) {
      // What the signal does by itself, it does at once; process.exit() would wait for a thread that is stuck in native code.
      for (const each of SIGNALS) process.off(each, onSignal)
      process.kill(process.pid, signal)
      return
    }
    say(`${signal}: stopping; once more ends it at once.`)
    stopSignal = signal
    tellStop(signal)
  }
  for (const signal of SIGNALS) process.on(signal, onSignal)
  // Nothing else may hold the process: plugins can all be idle, and a kernel may have none.
  const hold = setInterval(() => {}, 2 ** 31 - 1)

  try {
    const kernel = await createKernel(options)
    const stopped = attend?.(kernel)
    tellComings(kernel)
    let unwatch: (() => Promise<void>) | undefined
    try {
      if (options.watch) unwatch = await tellSavedOptions(kernel, optionsFiles)
      if (inspect !== undefined) {
        const { plugin, ...how } = inspect
        await kernel.inspect(plugin, how, { actor: 'operator' })
      }
      const booted = kernel.start({ actor: 'operator' }).then((report) => {
        if (signals === 0) say(renderBootTree(report, { color: wantsColor(process.stdout), width: (process.stdout.columns ?? 100) - 20 }))
      })
      await Promise.race([told, booted.then(() => told)])
    } finally {
      const since = performance.now()
      await unwatch?.()
      await kernel.stop({ actor: 'operator', reason: stopSignal })
      // Of what never ran there is nothing to tell but why.
      if (stopSignal !== undefined) say(style.dim(`stopped in ${duration(performance.now() - since)}`))
      await stopped?.()
      // Else the end of the process would wait for them.
      if (kernel.metrics().stuckThreads > 0) await kernel.exit()
    }
    process.exitCode = EXIT.ok
  } finally {
    clearInterval(hold)
    for (const signal of SIGNALS) process.off(signal, onSignal)
  }
}
