import type { Claims, Json } from '../domain/token.ts'

const DROPPED = new Set(['__proto__', 'constructor', 'prototype'])
/** `application/json` and the `+json` family, parameters aside. */
const JSON_TYPE = /^application\/(?:[\w.-]+\+)?json$/

/** A JSON object without prototype keys at any depth; undefined for everything else, deep nesting included. */
export const parseObject = (text: string): Claims | undefined => {
  try {
    const value = JSON.parse(text, (key, inner: Json) => (DROPPED.has(key) ? undefined : inner)) as Json
    return isObject(value) ? value : undefined
  } catch {
    return undefined // a parse error quotes its input
  }
}

export const isObject = (value: Json | undefined): value is { readonly [key: string]: Json } =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

export const isJsonType = (contentType: string | undefined): boolean =>
  JSON_TYPE.test((contentType ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? '')

/** Own string members only: an inherited name such as `toString` is not a claim. */
export const stringOf = (object: Claims, name: string): string | undefined => {
  const value = Object.hasOwn(object, name) ? object[name] : undefined
  return typeof value === 'string' ? value : undefined
}

export interface DecodedJwt {
  readonly header: Claims
  readonly payload: Claims
}
const JWT = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*$/

/** Header and payload of a compact JWS, unverified; undefined when it is none. */
export const decodeJwt = (token: string): DecodedJwt | undefined => {
  if (!JWT.test(token)) return undefined
  const [first = '', second = ''] = token.split('.')
  const header = parseObject(utf8(first))
  const payload = parseObject(utf8(second))
  return header && payload && { header, payload }
}

const utf8 = (part: string): string => Buffer.from(part, 'base64url').toString('utf8')
