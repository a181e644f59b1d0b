/** A start that failed because another provides the service already: it may succeed once that other is gone. */
import { PlugbayError } from '../errors.js'

/** What could not be provided, and who provides it. */
export interface TakenService {
  name: string
  version: string
  provider: string
}

/** The service that a plugin's start failed over, be it the cause of the error or the error itself; undefined where it failed over something else, or over itself. */
export const takenService = (error: unknown, plugin: string): TakenService | undefined => {
  for (let each = error; each instanceof Error; each = each.cause) {
    if (!PlugbayError.is(each) || each.code !== 'SERVICE_DUPLICATE') continue
    const { name, version, provider } = each.details ?? {}
    if (typeof name !== 'string' || typeof version !== 'string' || typeof provider !== 'string') return undefined
    return provider === plugin ? undefined : { name, version, provider }
  }
  return undefined
}
