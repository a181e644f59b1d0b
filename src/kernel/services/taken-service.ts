/** A start that failed because another provides the service already: it may succeed once that other is gone. */
import { isOwn } from '../../wire-error.js'

/** What could not be provided, and who provides it. */
export interface TakenService {
  name: string
  version: string
  provider: string
}

/**
 * The service that a plugin's start failed over, be it the cause of the error or the error itself; undefined where it failed over something
 * else, or over itself. What the plugin alone says of it is nothing: it would be started again and again.
 */
export const takenService = (error: unknown, plugin: string): TakenService | undefined => {
  for (let each = error; isOwn(each); each = each.cause) {
    const taken = each.code === 'SERVICE_DUPLICATE' ? each.details : each.details?.['taken']
    if (taken === undefined) continue
    const { name, version, provider } = taken as Partial<TakenService>
    if (typeof name !== 'string' || typeof version !== 'string' || typeof provider !== 'string') return undefined
    return provider === plugin ? undefined : { name, version, provider }
  }
  return undefined
}
