/** The module hooks of inline plugins and processes on Node 20: they run in a thread of their own, which `module.register` makes. */
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { type MessagePort, receiveMessageOnPort } from 'node:worker_threads'
import { type Stripped, StrippedSources } from '../strip-types.js'

interface Resolved {
  url: string
  format?: string
  shortCircuit?: boolean
}

interface Loaded {
  format: string
  source: string
  shortCircuit: boolean
}

let pluginModule = ''
let sent: MessagePort
const sources = new StrippedSources()

export const initialize = (data: { pluginModule: string; sent: MessagePort }): void => {
  ;({ pluginModule, sent } = data)
}

/** What was sent before the import is there by now, told of or not. */
const receive = (): void => {
  for (let next = receiveMessageOnPort(sent); next; next = receiveMessageOnPort(sent)) sources.add(next.message as Stripped)
}

export const resolve = async (
  specifier: string,
  context: object,
  next: (specifier: string, context: object) => Promise<Resolved>,
): Promise<Resolved> => {
  if (specifier === 'plugbay/plugin') return { url: pluginModule, format: 'module', shortCircuit: true }
  return next(specifier, context)
}

export const load = async (url: string, context: object, next: (url: string, context: object) => Promise<Loaded>): Promise<Loaded> => {
  if (!/\.m?ts$/.test(new URL(url).pathname)) return next(url, context)
  receive()
  const path = fileURLToPath(url)
  return { format: 'module', source: sources.strip(await readFile(path, 'utf8'), path), shortCircuit: true }
}
