/**
 * What an object is to structured clone, and what it has inside: whatever its prototype says, and whatever a plugin has made of the
 * prototypes that it finds.
 */
import { types } from 'node:util'

// Taken before a plugin runs.
const { apply, getOwnPropertyDescriptor } = Reflect
const getterOf = <T>(prototype: object, name: string): (() => T) => getOwnPropertyDescriptor(prototype, name)?.get as () => T

export const { isArrayBuffer, isBigIntObject, isBoxedPrimitive, isMap, isNativeError, isRegExp, isSet, isStringObject } = types

const { valueOf: integer } = BigInt.prototype
const { valueOf: text } = String.prototype
const { forEach: eachEntry } = Map.prototype
const { forEach: eachMember } = Set.prototype
const entryCount = getterOf<number>(Map.prototype, 'size')
const memberCount = getterOf<number>(Set.prototype, 'size')
const byteLength = getterOf<number>(ArrayBuffer.prototype, 'byteLength')

export const bytesIn = (buffer: object): number => apply(byteLength, buffer, [])
export const integerIn = (object: object): bigint => apply(integer, object, [])
export const textIn = (object: object): string => apply(text, object, [])
/** Entries of a Map, or members of a Set. */
export const countIn = (object: object): number => apply(isMap(object) ? entryCount : memberCount, object, [])
export const entriesIn = (map: object, see: (value: unknown, key: unknown) => void): void => apply(eachEntry, map, [see])
export const membersIn = (set: object, see: (value: unknown) => void): void => apply(eachMember, set, [see])
