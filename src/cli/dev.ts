/** `plugbay dev`: runs the kernel of a folder and replaces each plugin when its files are saved. */
import { PlugbayError } from '../errors.js'
import type { InspectOptions } from '../kernel/supervision/inspection.js'
import { type LearnMode, learnFrom } from './learn.js'
import { optionsFiles, type PlaceOptions, readOptions } from './project.js'
import { runKernel } from './run.js'

export interface DevOptions extends PlaceOptions {
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

export const dev = async (folder: string, { learn, ...place }: DevOptions): Promise<void> => {
  const inspect = inspected(place)
  const options = await readOptions(folder, place)
  const watched = { ...options, watch: typeof options.watch === 'object' ? options.watch : true }
  await runKernel(
    { ...watched, ...(learn !== undefined && { learn: true }) },
    { inspect, attend: learn && learnFrom(learn), optionsFiles: optionsFiles(folder, place) },
  )
}
