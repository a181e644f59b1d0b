/** A plugin `p` with limits, which answers calls until it does on `go` what its test is about. */
import { onGo } from './offences.js'
import type { Plugins } from './plugin-folder.js'

export const limited = (act: string, limits: Record<string, number>, more: Record<string, unknown> = {}): Plugins => ({
  p: {
    code: onGo(act, {
      first: "await ctx.services.provide('offender', { slow: () => new Promise(() => {}), alive: () => true })",
    }),
    manifest: { limits, ...more },
  },
})
