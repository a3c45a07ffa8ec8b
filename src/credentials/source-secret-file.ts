import type { SecretCredential } from '../domain/credential.ts'
import { Secret } from '../kernel/secret.ts'
import { faulty, onChange, unreadable } from './loaded.ts'
import type { Source } from './loaded.ts'
import { readText } from '../kernel/read-file.ts'
import { loadedSecret } from './source-secret.ts'
import type { NameOf } from './source-secret.ts'

/** RFC 6749 appendix A.2: visible characters and blanks. */
const SECRET = /^[^\p{Cc}]{1,4096}$/u

/** `client_secret_file`: the secret and nothing else; white space around it is not part of it. */
export const secretFileSource = (file: string, method: SecretCredential['method'], nameOf: NameOf): Source => {
  const judge = onChange((text = '') => {
    const trimmed = text.trim()
    return SECRET.test(trimmed) ? loadedSecret(Secret.of('client-secret', trimmed), method, nameOf, file) : faulty(file, 'secret-unusable')
  })
  return {
    setting: 'client_secret_file',
    place: file,
    isStaged: false,
    look: async () => {
      const text = await readText(file)
      return text === undefined ? unreadable(file) : judge(text)
    },
  }
}
