/** A plugin's files and requests: asked of the kernel, which does what the plugin may. */
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
  return {
    readFile: (path: string, encoding?: 'utf8') => ask({ act: 'readFile', path: String(path), encoding }),
    readdir: (path: string) => ask({ act: 'readdir', path: String(path) }),
    stat: (path: string) => ask({ act: 'stat', path: String(path) }),
    writeFile: (path: string, data: string | Uint8Array) => write('writeFile', String(path), data),
    appendFile: (path: string, data: string | Uint8Array) => write('appendFile', String(path), data),
    mkdir: (path: string) => ask({ act: 'mkdir', path: String(path) }),
    rm: (path: string) => ask({ act: 'rm', path: String(path) }),
    rename: (path: string, to: string) => ask({ act: 'rename', path: String(path), to: String(to) }),
  }
}

/** `ctx.fetch`. */
export const mediatedFetch = (conversation: Conversation): ((input: string | URL | Request, init?: RequestInit) => Promise<Response>) => {
  const oneFetch = limiter(AT_ONCE.fetch)
  return async (input, init) => {
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
