/** How the tour speaks, and how it notices that something is not as told. */
import assert from 'node:assert/strict'
import { styleText } from 'node:util'

const colored = process.stdout.isTTY === true && !process.env.NO_COLOR
const paint = (style, text) => (colored ? styleText(style, text) : text)

export const bold = (text) => paint('bold', text)
export const dim = (text) => paint('gray', text)
export const green = (text) => paint('green', text)
export const red = (text) => paint('red', text)
export const color = colored

const print = (line = '') => process.stdout.write(`${line}\n`)

let chapters = 0
export const chapter = (title) => print(`\n${bold(`${++chapters}. ${title}`)}\n`)
export const say = (text) => print(text === '' ? '' : text.replace(/^/gm, '   '))
export const show = (text) => print(text.replace(/^/gm, `   ${dim('│')} `))

/** Says that something is so, after making sure of it. */
export const sure = (claim, actual, expected) => {
  assert.deepEqual(actual, expected, claim)
  say(`${green('✓')} ${claim}`)
}

/** Rejects when what should come does not come; `what` says what that was. */
export const within = async (ms, what, promise) => {
  let timer
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`Waited ${ms} ms, and it did not happen: ${what}`)), ms)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

export const milliseconds = (ms) => `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`
