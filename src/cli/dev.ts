/** `plugbay dev`: runs the kernel of a folder and replaces each plugin when its files are saved. */
import type { Command } from 'commander'
import { type PlaceOptions, readOptions, withPlace } from './project.js'
import { runKernel } from './run.js'

const dev = async (folder: string, place: PlaceOptions): Promise<void> => {
  const options = await readOptions(folder, place)
  await runKernel({ ...options, watch: typeof options.watch === 'object' ? options.watch : true })
}

export const addDev = (program: Command): void => {
  withPlace(program.command('dev').description('run the plugins, and replace each when its files are saved'))
    .addHelpText(
      'after',
      '\nCtrl-C drains and stops in order; a second one ends at once. Exit codes: 0 stopped, 1 the boot failed, 2 wrong arguments.',
    )
    .action(dev)
}
