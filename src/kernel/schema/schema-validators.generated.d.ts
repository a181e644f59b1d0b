/** The validators that scripts/build.mjs compiles from schemas/ into dist/, so that no validation of ours loads ajv. */
import type { ErrorObject } from 'ajv'

export interface SchemaValidator {
  (data: unknown): boolean
  errors?: ErrorObject[] | null
}

export const validateManifest: SchemaValidator
export const validateOptions: SchemaValidator
