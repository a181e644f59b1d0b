/**
 * The thread that reads sources: the engine that takes their types out takes long to load, and as long for a source as who wrote it likes.
 */
import { stripTypes } from '../../strip-types.js'
import { workWith } from './at-work.js'
import { importsIn, lexer } from './module-imports.js'

/** What is wanted of a source: its code without types, or the names that it imports. */
export type SourceWork = { wanted: 'code'; source: string } | { wanted: 'imports'; source: string; typescript: boolean }

// It is loaded before the clock runs.
stripTypes('', '')

workWith(async (work: SourceWork): Promise<string | string[] | undefined> => {
  if (work.wanted === 'code') return stripTypes(work.source, '')
  const { source, typescript } = work
  const parse = await lexer()
  return importsIn(source, parse) ?? (typescript ? importsIn(stripTypes(source, ''), parse) : undefined)
})
