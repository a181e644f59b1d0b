/** `plugbay start`: runs the kernel of a folder as its configuration says. */
import { type Command, Option } from 'commander'
import { PlugbayError } from '../errors.js'
import { optionsFiles, type PlaceOptions, readOptions, withPlace } from './project.js'
import { runKernel } from './run.js'

interface StartOptions extends PlaceOptions {
  learn?: unknown
}

const start = async (folder: string, { learn, ...place }: StartOptions): Promise<void> => {
  const options = await readOptions(folder, place)
  if (learn !== undefined || options.learn)
    throw new PlugbayError(
      'USAGE',
      `\`plugbay start\` does not learn: it holds plugins to their permissions. Learn with \`plugbay dev --learn\`${learn === undefined ? ", and take 'learn' out of the configuration file" : ''}.`,
    )
  await runKernel({ ...options, audit: options.audit ?? true }, { optionsFiles: optionsFiles(folder, place) })
}

export const addStart = (program: Command): void => {
  withPlace(program.command('start').description('run the plugins as the configuration says'))
    .addOption(new Option('--learn [how]').hideHelp())
    .addHelpText(
      'after',
      '\nSIGTERM or Ctrl-C drain and stop in order; a second one ends at once. Exit codes: 0 stopped, 1 the boot failed, 2 wrong arguments, 130 or 143 ended at once.',
    )
    .action(start)
}
