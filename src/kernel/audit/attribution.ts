/** Who asks for something, and why: for the audit log. */
import { argumentInvalid, type OptionChecks, optionsFault } from '../../arguments.js'

export interface Attribution {
  /** Default: `embedder`. */
  actor?: string | undefined
  reason?: string | undefined
}

const text = (value: unknown): string | undefined => (typeof value === 'string' ? undefined : 'Give a text.')

const CHECKS: OptionChecks = { actor: text, reason: text }

/** Throws OPTIONS_INVALID. `action` is the name of what was called of the kernel. */
export const assertAttribution = (action: string, by: Attribution): void => {
  const fault = optionsFault(by, CHECKS)
  if (fault !== undefined) throw argumentInvalid(`kernel.${action}()`, fault)
}
