/** The thread that looks for what is wrong with a plugin's modules: as long as who wrote them likes. */
import { stripTypes } from '../../strip-types.js'
import { workWith } from '../modules/at-work.js'
import { lexer } from '../modules/module-imports.js'
import { faultFound } from './module-fault.js'

// What it parses with is loaded before the clock runs.
stripTypes('', '')
await lexer()

workWith(faultFound)
