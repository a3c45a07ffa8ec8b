import { readdir } from 'node:fs/promises'
import { dirname, extname, join } from 'node:path'
import type { CredentialId, TlsCredential } from '../domain/credential.ts'
import { readPair } from './certificate.ts'
import { faulty, onChange, seen, unreadable } from './loaded.ts'
import type { Faulty, Loaded, Look, Source } from './loaded.ts'
import { ofOneVersion } from '../kernel/mount.ts'
import { readText } from '../kernel/read-file.ts'

/** How a certificate is presented: in a signed assertion, or in the handshake. */
export type CertificateMethod = 'private_key_jwt' | TlsCredential['method']

interface Shared {
  readonly method: CertificateMethod
  /** Of an encrypted private key; undefined: it is not. */
  readonly passphraseFile?: string | undefined
}

const CERTIFICATES = new Set(['.crt', '.pem', '.cer'])
const CONTAINERS = new Set(['.p12', '.pfx'])
const PAIRS_MAX = 32

/** Every pair of a folder: `name.crt`, `.pem` or `.cer` with `name.key`, for instance Kubernetes' tls.crt and tls.key. */
export const certificateDirSource = ({ dir, ...shared }: Shared & { readonly dir: string }): Source => {
  const judges = new Map<string, ReturnType<typeof onChange>>()
  const judgeOf = (name: string) => {
    const judge =
      judges.get(name) ?? onChange((certificate = '', key = '', passphrase = '') => lookAt(name, shared, certificate, key, passphrase))
    judges.set(name, judge)
    return judge
  }
  const lookOnce = async (): Promise<Look> => {
    // `..data` and its kin are how Kubernetes swaps; the names beside them lead there.
    const names = await readdir(dir).then(
      (all) => all.filter((name) => !name.startsWith('.')),
      () => undefined,
    )
    if (!names) return unreadable(dir, 'dir-unreadable')
    for (const name of judges.keys()) if (!names.includes(name)) judges.delete(name)
    const passphrase = await passphraseOf(shared)
    const candidates = names.filter((name) => isCandidate(name, names)).toSorted()
    const looks = await Promise.all(
      candidates.slice(0, PAIRS_MAX).map(async (name) => {
        const key = await readText(join(dir, `${name.slice(0, -extname(name).length)}.key`))
        return judgeOf(name)((await readText(join(dir, name))) ?? '', key ?? '', passphrase)
      }),
    )
    if (looks.length === 0) return faulty(dir, 'dir-without-pair')
    return seen(distinct(looks.flatMap(({ loaded }) => loaded)), [
      ...looks.flatMap(({ faults }) => faults),
      ...(candidates.length > PAIRS_MAX ? [{ file: dir, fault: 'pairs-too-many' } as const] : []),
    ])
  }
  return {
    setting: 'certificate_dir',
    place: dir,
    isStaged: true,
    look: async () => (await ofOneVersion(dir, lookOnce)) ?? unreadable(dir, 'dir-unreadable'),
  }
}

/** cert-manager writes the authority beside the pair: `ca.crt`, without a key. */
const isCandidate = (name: string, names: readonly string[]): boolean =>
  (CERTIFICATES.has(extname(name)) || CONTAINERS.has(extname(name).toLowerCase())) && (name !== 'ca.crt' || names.includes('ca.key'))

/** One certificate and its key, each in a file of its own. */
export const certificateFileSource = ({
  certificateFile,
  privateKeyFile,
  ...shared
}: Shared & { readonly certificateFile: string; readonly privateKeyFile: string }): Source => {
  const judge = onChange((certificate = '', key = '', passphrase = '') => lookAt(certificateFile, shared, certificate, key, passphrase))
  const lookOnce = async (): Promise<Look> => {
    const certificate = await readText(certificateFile)
    if (certificate === undefined) return unreadable(certificateFile)
    return judge(certificate, (await readText(privateKeyFile)) ?? '', await passphraseOf(shared))
  }
  return {
    setting: 'certificate_file',
    place: certificateFile,
    isStaged: false,
    look: async () => (await ofOneVersion(dirname(certificateFile), lookOnce)) ?? unreadable(certificateFile),
  }
}

/** A line break at its end is an editor's. */
const passphraseOf = async ({ passphraseFile }: Shared): Promise<string> =>
  passphraseFile === undefined ? '' : ((await readText(passphraseFile)) ?? '').replace(/\r?\n$/, '')

const lookAt = (file: string, { method, passphraseFile }: Shared, certificate: string, key: string, passphrase: string): Look => {
  const pair = readPair(certificate, key, file, passphraseFile === undefined ? undefined : passphrase)
  if (pair.kind === 'unusable') return seen([], [{ file, fault: pair.fault } satisfies Faulty])
  const { notBefore, notAfter, privateKey, thumbprint } = pair.credential
  const dates = { file, notBefore, notAfter }
  if (method === 'private_key_jwt') return seen([{ ...dates, id: thumbprint as CredentialId, credential: pair.credential }])
  const credential: TlsCredential = { kind: 'tls', method, privateKey, certificatePem: certificate, thumbprint, ...dates }
  // The same certificate in an assertion is another credential to the provider.
  return seen([{ ...dates, id: `tls-${thumbprint}` as CredentialId, credential }])
}

/** The same pair under two names is one. */
const distinct = (loaded: readonly Loaded[]): readonly Loaded[] => [...new Map(loaded.map((one) => [one.id, one])).values()]
