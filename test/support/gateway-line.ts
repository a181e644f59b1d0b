/** A gateway, and over a real line a guest's end that refuses nothing by itself. `hears`: what the guest does with what it is told. */
import { onTestFinished } from 'vitest'
import type { PlugbayError } from '#src/errors.js'
import { Gateway, type GatewayOptions } from '#src/kernel/gateway/gateway.js'
import type { Excess } from '#src/kernel/limits/quota.js'
import { makePlane } from '#src/kernel/services/plane.js'
import { type Permission, PermissionSet } from '#src/permission-set.js'
import { channelPair } from '#src/sandbox/channel.js'
import type { Party } from '#src/sandbox/conversation/party.js'
import { Conversation } from '#src/sandbox/rpc.js'
import { Scope } from '#src/scope.js'

const LIMITS: GatewayOptions['limits'] = {
  cpu: 1,
  queue: 8,
  message: 1_048_576,
  window: 8,
  subscriptions: 8,
  overlap: 16,
  services: 8,
  requests: 1_000,
}

/** `party`: what the guest's end does beside being told. */
export const gatewayLine = (permissions: Permission[], limits: Partial<GatewayOptions['limits']> = {}, party: Partial<Party> = {}) => {
  const plane = makePlane(
    'kernel',
    () => {},
    () => false,
  )
  const denied: PlugbayError[] = []
  const breaches: Excess[] = []
  const warnings: string[] = []
  /** The fields of what was logged. */
  const logged: unknown[] = []
  /** Why the line is over. */
  const ended: PlugbayError[] = []
  /** Ends each task that is under way. */
  const tasks: (() => void)[] = []
  const scope = new Scope('hostile#1')
  const gateway = new Gateway({
    plugin: 'hostile',
    plane,
    scope,
    permissions: new PermissionSet({ root: '/', dataDir: '/', permissions }),
    inFlight: 8,
    limits: { ...LIMITS, ...limits },
    succession: undefined,
    log: (level, message, fields) => {
      logged.push(fields)
      if (level === 'warn') warnings.push(message)
    },
    runTask: () => new Promise<void>((resolve) => tasks.push(resolve)),
    denied: (error) => void denied.push(error),
    breached: (excess) => void breaches.push(excess),
    ended: (reason) => void ended.push(reason),
  })
  const [kernelEnd, guestEnd] = channelPair()
  gateway.conversation = new Conversation(kernelEnd, gateway, 'the guest')
  /** What the guest was told, in order. */
  const told: { verb: string; metas: readonly unknown[] }[] = []
  const guest = new Conversation(
    guestEnd,
    {
      request: () => undefined,
      ...party,
      notice: (verb, metas, ...rest) => {
        told.push({ verb, metas })
        party.notice?.(verb, metas, ...rest)
      },
    },
    'the kernel',
  )
  onTestFinished(async () => {
    guest.close()
    await scope.close()
  })
  return { ...plane, guest, gateway, told, denied, breaches, ended, warnings, logged, tasks }
}
