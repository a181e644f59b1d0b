/** `plugbay start`: runs the kernel of a folder as its configuration says. */
import { PlugbayError } from '../errors.js'
import { optionsFiles, type PlaceOptions, readOptions } from './project.js'
import { runKernel } from './run.js'

export interface StartOptions extends PlaceOptions {
  learn?: unknown
}

export const start = async (folder: string, { learn, ...place }: StartOptions): Promise<void> => {
  const options = await readOptions(folder, place)
  if (learn !== undefined || options.learn)
    throw new PlugbayError(
      'USAGE',
      `\`plugbay start\` does not learn: it holds plugins to their permissions. Learn with \`plugbay dev --learn\`${learn === undefined ? ", and take 'learn' out of the configuration file" : ''}.`,
    )
  await runKernel({ ...options, audit: options.audit ?? true }, { optionsFiles: optionsFiles(folder, place) })
}
