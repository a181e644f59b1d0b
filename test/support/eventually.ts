/** Waits for a condition: looks often, as most are met within a millisecond, and for long, as the machine may be busy. */
import { vi } from 'vitest'

export const eventually = <T>(check: () => T | Promise<T>): Promise<T> => vi.waitFor(check, { timeout: 10_000, interval: 2 })
