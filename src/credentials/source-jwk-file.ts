import { createHash, createPublicKey } from 'node:crypto'
import type { CredentialId, JwkCredential } from '../domain/credential.ts'
import { judgeJwk } from './jwk.ts'
import { faulty, onChange, seen, unreadable } from './loaded.ts'
import type { Source } from './loaded.ts'
import { readText } from '../kernel/read-file.ts'

/** `jwk_file`: one private JSON Web Key. */
export const jwkFileSource = (file: string): Source => {
  const judge = onChange((text = '') => {
    const judged = judgeJwk(text, file)
    if (judged.kind === 'unusable') return faulty(file, judged.fault)
    const { credential } = judged
    return seen([{ id: thumbprintOf(credential), credential, file, notBefore: undefined, notAfter: undefined }])
  })
  return {
    setting: 'jwk_file',
    place: file,
    isStaged: false,
    look: async () => {
      const text = await readText(file)
      return text === undefined ? unreadable(file) : judge(text)
    },
  }
}

/** RFC 7638, and the name it goes by: another key under the same name, or the same under another, is another credential to the provider. */
const thumbprintOf = ({ privateKey, kid }: JwkCredential): CredentialId => {
  const { kty, crv, x, y, e, n } = createPublicKey(privateKey).export({ format: 'jwk' })
  const members = kty === 'RSA' ? { e, kty, n } : kty === 'EC' ? { crv, kty, x, y } : { crv, kty, x }
  return createHash('sha256').update(JSON.stringify(members)).update(`\n${kid}`).digest('base64url') as CredentialId
}
