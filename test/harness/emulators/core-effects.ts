import { decodeJwt, decodeProtectedHeader } from 'jose'
import type { Json, Reply } from './core-exchange.ts'
import type { Fault } from './core-faults.ts'
import { newSigningKey, type SigningKeys } from './core-keys.ts'

const encode = (value: Json): string => Buffer.from(JSON.stringify(value)).toString('base64url')

/** A reply after the faults that work on answers; refusals (`error`) pass unchanged but for a garbled body. */
export const changedReply = async (reply: Reply, faults: readonly Fault[], keys: SigningKeys): Promise<Reply> => {
  let changed = reply
  for (const one of faults) {
    const { json } = changed
    if (json === undefined) continue
    if (one.kind === 'garble')
      changed = { status: changed.status, headers: { 'content-type': 'application/json', ...changed.headers }, text: one.text(json) }
    if ('error' in json) continue
    if (one.kind === 'change') changed = { ...changed, json: one.change(json) }
    if (one.kind === 'id-token' && typeof json['id_token'] === 'string')
      changed = { ...changed, json: { ...json, id_token: await forged(json['id_token'], one, keys) } }
  }
  return changed
}

const forged = async (token: string, how: Extract<Fault, { kind: 'id-token' }>, keys: SigningKeys): Promise<string> => {
  const claims = how.claims(decodeJwt(token))
  const header = decodeProtectedHeader(token)
  switch (how.signed) {
    case 'well': {
      const { kid, alg, ...rest } = header
      return keys.sign(claims, { ...rest }, keys.published().find((key) => key.kid === kid && key.algorithm === alg) ?? keys.active)
    }
    case 'by-a-stranger':
      return keys.sign(claims, {}, await newSigningKey({ algorithm: keys.active.algorithm }))
    case 'not-at-all':
      return `${encode({ alg: 'none', typ: 'JWT' })}.${encode(claims)}.`
    case 'badly': {
      const stranger = await newSigningKey({ algorithm: keys.active.algorithm })
      return keys.sign(claims, { kid: keys.active.kid }, stranger)
    }
  }
}
