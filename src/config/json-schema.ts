import * as z from 'zod'
import { settingsSchema } from './schema.ts'

export interface JsonSchema {
  readonly type?: string | readonly string[]
  readonly description?: string
  readonly default?: unknown
  readonly examples?: readonly string[]
  readonly enum?: readonly unknown[]
  readonly const?: unknown
  readonly properties?: Readonly<Record<string, JsonSchema>>
  readonly additionalProperties?: boolean | JsonSchema
  readonly items?: JsonSchema
  readonly anyOf?: readonly JsonSchema[]
  /** Only ever one `$ref`, beside which draft-07 ignores everything else. */
  readonly allOf?: readonly JsonSchema[]
  readonly required?: readonly string[]
  readonly $ref?: string
  readonly definitions?: Readonly<Record<string, JsonSchema>>
  readonly 'x-secret'?: boolean
  readonly 'x-expects'?: string
  readonly 'x-reload'?: 'live' | 'restart'
  readonly 'x-since'?: string
}

let made: JsonSchema | undefined

/** JSON Schema draft-07 of the configuration file, for editors and Helm's values.schema.json. */
export const jsonSchema = (): JsonSchema => {
  // zod's own type of a schema node is wider than what this schema uses.
  made ??= { title: 'Sallyport configuration', ...z.toJSONSchema(settingsSchema, { target: 'draft-7', io: 'input' }) } as JsonSchema
  return made
}
