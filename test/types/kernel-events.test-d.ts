/** What listeners of the kernel know: checked by tsc alone, never run. */
import type { Kernel } from '#src/index.js'

declare const kernel: Kernel

kernel.on('plugin:fault', ({ name, generation, error, lost, restartIn }) => {
  const told: [string, number, number | undefined, number | undefined] = [name, generation, lost, restartIn]
  const texts: [string, string | undefined, string | undefined, unknown] = [error.message, error.stack, error.plugin, error.cause]
  // The codes of plugbay are known, and Node's come too.
  if (error.code === 'PLUGIN_CRASHED' || error.code === 'EACCES') void error.details?.['exit']
  // @ts-expect-error nothing else is known of it
  void error.status
  void [told, texts]
})
