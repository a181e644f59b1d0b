/** `plugbay dev`: runs the kernel of a folder and replaces each plugin when its files are saved. */
import { type Command, Option } from 'commander'
import { LEARN_MODES, type LearnMode, learnFrom } from './learn.js'
import { type PlaceOptions, readOptions, withPlace } from './project.js'
import { runKernel } from './run.js'

interface DevOptions extends PlaceOptions {
  learn?: LearnMode
}

const dev = async (folder: string, { learn, ...place }: DevOptions): Promise<void> => {
  const options = await readOptions(folder, place)
  const watched = { ...options, watch: typeof options.watch === 'object' ? options.watch : true }
  if (learn === undefined) await runKernel(watched)
  else await runKernel({ ...watched, learn: true }, learnFrom(learn))
}

export const addDev = (program: Command): void => {
  withPlace(program.command('dev').description('run the plugins, and replace each when its files are saved'))
    .addOption(
      new Option('--learn [how]', 'record what plugins use instead of holding them to their permissions; write: into their manifests')
        .choices(LEARN_MODES)
        .preset('print'),
    )
    .addHelpText(
      'after',
      '\nCtrl-C drains and stops in order; a second one ends at once. Exit codes: 0 stopped, 1 the boot failed, 2 wrong arguments.',
    )
    .action(dev)
}
