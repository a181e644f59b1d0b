/** Two ends of a conversation, of which the far one does as its test says. */

import type { Channel } from '#src/sandbox/channel.js'
import type { Call } from '#src/sandbox/conversation/call.js'
import type { Party } from '#src/sandbox/conversation/party.js'
import { Conversation } from '#src/sandbox/rpc.js'

export interface Notice {
  verb: string
  metas: readonly unknown[]
  data: unknown
  /** Of a numbered one. Not enumerable, as most are not. */
  number?: number
}

export interface Talk {
  here: Conversation
  there: Conversation
  /** What the far end was told, opened. */
  notices: Notice[]
  /** Why each end is over: near, far. */
  ended: { here: unknown[]; there: unknown[] }
}

/** `answer` is what the far end does with a request. */
export const converse = (
  [near, far]: [Channel, Channel],
  answer: (call: Call, body: unknown) => unknown = () => undefined,
  party: Partial<Party> = {},
): Talk => {
  const notices: Notice[] = []
  const ended: Talk['ended'] = { here: [], there: [] }
  const there = new Conversation(
    far,
    {
      request: answer,
      notice: (verb, metas, body, number) => {
        const notice: Notice = { verb, metas, data: body.open() }
        notices.push(Object.defineProperty(notice, 'number', { value: number }))
      },
      ended: (reason) => ended.there.push(reason),
      ...party,
    },
    'the near end',
  )
  const here = new Conversation(near, { request: () => undefined, ended: (reason) => ended.here.push(reason) }, 'the far end')
  return { here, there, notices, ended }
}

/** A promise with its levers outside. */
export const gate = <T = void>(): { promise: Promise<T>; open: (value: T) => void; fail: (error: unknown) => void } => {
  let open: (value: T) => void = () => {}
  let fail: (error: unknown) => void = () => {}
  const promise = new Promise<T>((resolve, reject) => {
    open = resolve
    fail = reject
  })
  return { promise, open, fail }
}
