/** `plugbay start`: runs the kernel of a folder as its configuration says. */
import type { Command } from 'commander'
import { type PlaceOptions, readOptions, withPlace } from './project.js'
import { runKernel } from './run.js'

const start = async (folder: string, place: PlaceOptions): Promise<void> => {
  const options = await readOptions(folder, place)
  await runKernel({ ...options, audit: options.audit ?? true })
}

export const addStart = (program: Command): void => {
  withPlace(program.command('start').description('run the plugins as the configuration says'))
    .addHelpText(
      'after',
      '\nSIGTERM or Ctrl-C drain and stop in order; a second one ends at once. Exit codes: 0 stopped, 1 the boot failed, 2 wrong arguments, 130 or 143 ended at once.',
    )
    .action(start)
}
