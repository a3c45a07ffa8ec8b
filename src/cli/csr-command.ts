import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { newKey, selfSignedCertificate, signingRequest, thumbprintsOf } from '../credentials/signing-request.ts'
import { instant, minutes } from '../kernel/time.ts'
import { EXIT, json, UsageError, type Command, type Options } from './command.ts'

const DAYS_MAX = 1100

/** Key and request, or key and self-signed certificate, side by side as `certificate_dir` wants them. Prints the private key never, and replaces no file. */
export const csrCommand: Command = {
  name: 'credentials csr',
  summary: 'make the next key and a certificate request for it; with --days a self-signed certificate',
  usage: 'credentials csr --dir DIR --name NAME [--days DAYS] [--key rsa|ec] [--subject CN]',
  options: ['dir', 'name', 'days', 'key', 'subject', 'output'],
  run: async (options, shell) => {
    const { dir, name, days, kind, subject } = asked(options)
    const key = await newKey(kind)
    const request = days === undefined ? signingRequest(key, subject) : undefined
    const certificate = days === undefined ? undefined : selfSignedCertificate(key, subject, instant(Date.now()), minutes(days * 24 * 60))
    const files = { key: join(dir, `${name}.key`), public: join(dir, `${name}.${certificate === undefined ? 'csr' : 'crt'}`) }
    // The key first: a certificate whose key is not there yet would be half a pair.
    await write(files.key, key.export({ type: 'pkcs8', format: 'pem' }).toString(), 0o600)
    await write(files.public, certificate ?? request ?? '', 0o644)
    const thumbprints = certificate === undefined ? undefined : thumbprintsOf(certificate)
    if (options.output === 'json')
      shell.out(
        json({
          private_key_file: files.key,
          [certificate === undefined ? 'request_file' : 'certificate_file']: files.public,
          thumbprint_sha1: thumbprints?.sha1 ?? null,
          thumbprint_sha256: thumbprints?.sha256 ?? null,
        }),
      )
    else
      shell.out(
        [
          `private key: ${files.key}`,
          ...(thumbprints
            ? [
                `certificate: ${files.public}, for ${days} days`,
                `SHA-1 ${thumbprints.sha1}`,
                `SHA-256 ${thumbprints.sha256}`,
                'next: register the certificate at the provider, and see `sallyport credentials status`',
              ]
            : [
                `request: ${files.public}`,
                `next: have it signed, put the certificate and its chain beside the key as ${name}.crt, and see \`sallyport credentials status\``,
              ]),
          '',
        ].join('\n'),
      )
    return EXIT.ok
  },
}

const asked = ({ dir, name, days, key, subject }: Options) => {
  if (!dir) throw new UsageError('--dir DIR is missing: the folder of certificate_dir, or another one')
  if (name === undefined || !/^[A-Za-z0-9][\w-]{0,63}$/.test(name))
    throw new UsageError('--name NAME is a file name without its ending, such as 2027-01')
  if (days !== undefined && !(/^\d{1,4}$/.test(days) && Number(days) >= 1 && Number(days) <= DAYS_MAX))
    throw new UsageError(`--days is a number from 1 to ${DAYS_MAX}`)
  if (key !== undefined && key !== 'rsa' && key !== 'ec') throw new UsageError('--key is rsa or ec')
  if (subject !== undefined && !/^[\p{L}\p{N} ._-]{1,64}$/u.test(subject))
    throw new UsageError('--subject is a common name: letters, digits, blanks, dots, hyphens and underscores, 64 at most')
  return { dir, name, days: days === undefined ? undefined : Number(days), kind: key ?? 'rsa', subject: subject ?? 'sallyport' } as const
}

/** Never over what is there: a key that is in use would be gone. */
const write = async (file: string, text: string, mode: number): Promise<void> => {
  const handle = await open(file, 'wx', mode).catch((error: unknown) => {
    const code: unknown = Reflect.get(Object(error), 'code')
    throw new UsageError(
      code === 'EEXIST' ? 'a file of this name is there already, and nothing is replaced' : 'the files cannot be written: look at --dir',
    )
  })
  try {
    await handle.writeFile(text)
    await handle.sync()
  } finally {
    await handle.close()
  }
}
