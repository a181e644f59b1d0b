/** `plugbay dev`: runs the kernel of a folder and replaces each plugin when its files are saved. */
import { type Command, Option } from 'commander'
import { PlugbayError } from '../errors.js'
import type { InspectOptions } from '../kernel/inspection.js'
import { LEARN_MODES, type LearnMode, learnFrom } from './learn.js'
import { optionsFiles, type PlaceOptions, readOptions, withPlace } from './project.js'
import { runKernel } from './run.js'

interface DevOptions extends PlaceOptions {
  learn?: LearnMode
  inspect?: string
  inspectBrk?: string
}

/** `name` or `name:port`, as Node takes `--inspect=host:port`. */
const inspected = ({ inspect, inspectBrk }: DevOptions): ({ plugin: string } & InspectOptions) | undefined => {
  const text = inspectBrk ?? inspect
  if (text === undefined) return undefined
  const [, plugin, port] = /^(.+?)(?::(\d{1,5}))?$/.exec(text) ?? []
  if (plugin === undefined || plugin.includes(':') || Number(port ?? 0) > MAX_PORT)
    throw new PlugbayError(
      'USAGE',
      `--inspect takes the name of a plugin and, after a colon, a port: --inspect=orders:9230. It was given '${text}'.`,
    )
  return { plugin, port: port === undefined ? undefined : Number(port), wait: inspectBrk !== undefined }
}

const MAX_PORT = 65_535

const dev = async (folder: string, { learn, ...place }: DevOptions): Promise<void> => {
  const inspect = inspected(place)
  const options = await readOptions(folder, place)
  const watched = { ...options, watch: typeof options.watch === 'object' ? options.watch : true }
  await runKernel(
    { ...watched, ...(learn !== undefined && { learn: true }) },
    { inspect, attend: learn && learnFrom(learn), optionsFiles: optionsFiles(folder, place) },
  )
}

export const addDev = (program: Command): void => {
  withPlace(program.command('dev').description('run the plugins, and replace each when its files are saved'))
    .addOption(
      new Option('--learn [how]', 'record what plugins use instead of holding them to their permissions; write: into their manifests')
        .choices(LEARN_MODES)
        .preset('print'),
    )
    .option('--inspect <plugin[:port]>', 'open an inspector for that plugin alone, before its first line; port: 9229, or a free one')
    .addOption(
      new Option('--inspect-brk <plugin[:port]>', 'the same, and stop at its first line until a debugger is there').conflicts('inspect'),
    )
    .addHelpText(
      'after',
      '\nCtrl-C drains and stops in order; a second one ends at once. Exit codes: 0 stopped, 1 the boot failed, 2 wrong arguments.',
    )
    .action(dev)
}
