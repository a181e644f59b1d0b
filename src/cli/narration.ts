/** What the log says, one line each, of what comes and goes while a kernel runs; the kernel itself logs replacements and faults. */
import { basename } from 'node:path'
import type { Kernel } from '../kernel/kernel.js'

/** Says which plugins come in, stop and run again once the boot is done. */
export const tellComings = (kernel: Kernel): void => {
  /**
   * What each plugin that is being started was before. One that is replaced, or restarted after a crash, is not among them: it does not
   * rest in between.
   */
  const before = new Map<string, string>()
  kernel.on('plugin:state', ({ name, generation, from, to, reason }) => {
    const was = before.get(name)
    if (to === 'resolved') before.set(name, from)
    else if (to === 'running') before.delete(name)
    if (kernel.state !== 'running') return
    const say = (message: string): void => kernel.log.info({ plugin: name, generation }, message)
    if (to === 'running' && was !== undefined) say(was === 'discovered' ? 'Came in, and runs.' : 'Runs again.')
    if (to !== 'stopped' || reason.startsWith('replaced')) return
    // One that did not take over: its predecessor runs on.
    if (kernel.plugins().some((plugin) => plugin.name === name && plugin.generation !== generation)) return
    say(reason === `'${name}' was unloaded` ? 'Left.' : `Stopped: ${reason}.`)
  })
}

/** Says that a saved configuration file takes a restart. Resolves, once it is watched, with what ends that. */
export const tellSavedOptions = async (kernel: Kernel, files: readonly string[]): Promise<() => Promise<void>> => {
  const { Watcher } = await import('../kernel/reload/watcher.js')
  const watcher = new Watcher({
    onChange: (_name, paths) =>
      kernel.log.warn(
        {},
        `${paths.map((path) => basename(path)).join(' and ')} was saved. It is read at the start: restart to have it in force.`,
      ),
  })
  await watcher.track('options', files)
  await watcher.ready()
  return () => watcher.close()
}
