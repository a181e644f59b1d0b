/** A plugin's files and requests: asked of the kernel, which does what the plugin may. */
import { argumentInvalid, assertNoMore, assertWritable, shown } from '../../arguments.js'
import { keepFollowed } from '../../composite-signals.js'
import { limiter } from '../../limiter.js'
import { AT_ONCE, isLarge } from '../conversation/at-once.js'
import { entriesOf } from '../folder-listing.js'
import type { KernelVerbs } from '../protocol.js'
import type { Conversation } from '../rpc.js'

type FileRequest = KernelVerbs['file']['asks']

const bytesOf = (data: string | Uint8Array): Uint8Array<ArrayBuffer> =>
  typeof data === 'string' ? new TextEncoder().encode(data) : new Uint8Array(data)

/** Made here: a text would be made in the kernel's thread, and be copied from there. */
const textOf = ({ buffer, byteOffset, byteLength }: Uint8Array<ArrayBuffer>): string =>
  Buffer.from(buffer, byteOffset, byteLength).toString('utf8')

/** `ctx.fs`. */
export const mediatedFiles = (conversation: Conversation): Record<FileRequest['act'], (...args: never[]) => Promise<unknown>> => {
  const oneFile = limiter(AT_ONCE.file)
  const oneLarge = limiter(AT_ONCE['large file'])
  const ask = (request: FileRequest): Promise<unknown> => oneFile(() => conversation.request('file', request))
  const write = (act: 'writeFile' | 'appendFile', path: string, data: string | Uint8Array): Promise<unknown> => {
    if (!isLarge(data)) return ask({ act, path, data })
    const move = (): Promise<unknown> => {
      const bytes = bytesOf(data)
      return conversation.request('file', { act, path, data: bytes } satisfies FileRequest, { transfer: [bytes.buffer] })
    }
    return oneLarge(() => oneFile(move))
  }
  const bytes = async (request: FileRequest): Promise<Uint8Array<ArrayBuffer>> => (await ask(request)) as Uint8Array<ArrayBuffer>
  /** None heeds more than it has parameters. */
  const only =
    <Given extends unknown[]>(takes: string, act: FileRequest['act'], run: (...given: Given) => Promise<unknown>) =>
    async (...given: Given): Promise<unknown> => {
      assertNoMore(`fs.${act}()`, takes, given.slice(run.length))
      return run(...given)
    }
  const at = (act: FileRequest['act']): ((path: string) => Promise<unknown>) =>
    only('a path', act, (path: string) => ask({ act, path: String(path) }))
  const writing = (act: 'writeFile' | 'appendFile'): ((path: string, data: string | Uint8Array) => Promise<unknown>) =>
    only('a path and data', act, async (path: string, given?: string | Uint8Array) => {
      const data = given ?? ''
      assertWritable(data, `fs.${act}()`)
      return write(act, String(path), data)
    })
  return {
    readFile: only("a path and 'utf8'", 'readFile', (path: string, encoding?: 'utf8') => {
      if (encoding !== undefined && encoding !== 'utf8')
        throw argumentInvalid('fs.readFile()', `was given ${shown(encoding)} for the encoding. Give 'utf8', or leave it out for the bytes.`)
      const read = bytes({ act: 'readFile', path: String(path) })
      return encoding === undefined ? read : read.then(textOf)
    }),
    readdir: only('a path', 'readdir', async (path: string) => entriesOf(textOf(await bytes({ act: 'readdir', path: String(path) })))),
    stat: at('stat'),
    writeFile: writing('writeFile'),
    appendFile: writing('appendFile'),
    mkdir: at('mkdir'),
    rm: at('rm'),
    rename: only('two paths', 'rename', (path: string, to: string) => ask({ act: 'rename', path: String(path), to: String(to) })),
  }
}

/** `ctx.fetch`. */
export const mediatedFetch = (conversation: Conversation): ((input: string | URL | Request, init?: RequestInit) => Promise<Response>) => {
  const oneFetch = limiter(AT_ONCE.fetch)
  const oneLarge = limiter(AT_ONCE['large fetch'])
  return async (input, init) => {
    keepFollowed(init?.signal ?? undefined)
    const request = new Request(input, init)
    const { url, method, redirect, signal } = request
    const body = request.body === null ? null : new Uint8Array(await request.arrayBuffer())
    const asks: KernelVerbs['fetch']['asks'] = { url, method, headers: [...request.headers], redirect, body }
    const large = body !== null && isLarge(body)
    const options = large ? { signal, transfer: [body.buffer] } : { signal }
    const ask = (): Promise<unknown> => oneFetch(() => conversation.request('fetch', asks, options), signal)
    const answer = (await (large ? oneLarge(ask, signal) : ask())) as KernelVerbs['fetch']['answers']
    const { status, statusText, headers } = answer
    const response = new Response(answer.body, { status, statusText, headers })
    // A Response that is made rather than received knows neither.
    return Object.defineProperties(response, { url: { value: answer.url }, redirected: { value: answer.redirected } })
  }
}
