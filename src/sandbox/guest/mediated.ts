/** A plugin's files and requests: asked of the kernel, which does what the plugin may. */
import { argumentInvalid, assertNoMore, shown } from '../../arguments.js'
import { keepFollowed } from '../../composite-signals.js'
import { limiter } from '../../limiter.js'
import { AT_ONCE } from '../at-once.js'
import type { KernelVerbs } from '../protocol.js'
import type { Conversation } from '../rpc.js'

type FileRequest = KernelVerbs['file']['asks']

/** What is written in one piece of this many bytes or more is moved to the kernel: its thread has nothing to read then, however much it is. */
const LARGE = 1_024 * 1_024

const bytesOf = (data: string | Uint8Array): Uint8Array<ArrayBuffer> =>
  typeof data === 'string' ? new TextEncoder().encode(data) : new Uint8Array(data)

/** `ctx.fs`. */
export const mediatedFiles = (conversation: Conversation): Record<FileRequest['act'], (...args: never[]) => Promise<unknown>> => {
  const oneFile = limiter(AT_ONCE.file)
  const ask = (request: FileRequest): Promise<unknown> => oneFile(() => conversation.request('file', request))
  const write = (act: 'writeFile' | 'appendFile', path: string, data: string | Uint8Array): Promise<unknown> => {
    const large = (typeof data === 'string' || data instanceof Uint8Array) && data.length >= LARGE
    if (!large) return ask({ act, path, data })
    return oneFile(() => {
      const bytes = bytesOf(data)
      return conversation.request('file', { act, path, data: bytes } satisfies FileRequest, { transfer: [bytes.buffer] })
    })
  }
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
    only('a path and data', act, (path: string, data: string | Uint8Array) => write(act, String(path), data))
  return {
    readFile: only("a path and 'utf8'", 'readFile', (path: string, encoding?: 'utf8') => {
      if (encoding !== undefined && encoding !== 'utf8')
        throw argumentInvalid('fs.readFile()', `was given ${shown(encoding)} for the encoding. Give 'utf8', or leave it out for the bytes.`)
      return ask({ act: 'readFile', path: String(path), encoding })
    }),
    readdir: at('readdir'),
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
  return async (input, init) => {
    keepFollowed(init?.signal ?? undefined)
    const request = new Request(input, init)
    const { url, method, redirect, signal } = request
    const body = request.body === null ? null : new Uint8Array(await request.arrayBuffer())
    const asks: KernelVerbs['fetch']['asks'] = { url, method, headers: [...request.headers], redirect, body }
    const answer = (await oneFetch(() => conversation.request('fetch', asks, { signal }), signal)) as KernelVerbs['fetch']['answers']
    const { status, statusText, headers } = answer
    const response = new Response(answer.body, { status, statusText, headers })
    // A Response that is made rather than received knows neither.
    return Object.defineProperties(response, { url: { value: answer.url }, redirected: { value: answer.redirected } })
  }
}
