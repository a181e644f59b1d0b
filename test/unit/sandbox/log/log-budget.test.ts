import { describe, expect, test } from 'vitest'
import { LOG_RATE, LogBudget } from '#src/sandbox/log/log-budget.js'
import { eventually } from '../../../support/eventually.js'

describe('a budget for the log', () => {
  test('takes what is written within the rate', () => {
    const budget = new LogBudget(1, () => {})
    expect(Array.from({ length: 100 }, () => budget.takes(100))).not.toContain(false)
  })

  test('drops no line before it is measured, while anything is left', () => {
    const budget = new LogBudget(1, () => {})
    expect(budget.drops(LOG_RATE * 2)).toBe(false)
    expect(budget.takes(LOG_RATE * 2)).toBe(true)
    expect(budget.drops(1)).toBe(true)
  })

  test('drops what is more, and tells once how much', async () => {
    const told: string[] = []
    const budget = new LogBudget(1, (message) => told.push(message))
    expect(budget.takes(LOG_RATE * 2)).toBe(true)
    expect([budget.takes(100), budget.drops(200)]).toEqual([false, true])
    await eventually(() => expect(told).toHaveLength(1))
    expect(told[0]).toMatch(/^2 lines with 300 characters were dropped/)
  })
})
