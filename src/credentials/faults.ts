/** Why what lies in a file is not used, and what to do. For logs and `credentials status`; never quotes the file. */
export const FAULTS = {
  'file-unreadable': 'the file cannot be read, is empty or is too large: check the mount and its permissions',
  'dir-unreadable': 'the folder cannot be read: check the mount and its permissions',
  'dir-without-pair': 'the folder holds no pair: name.crt (or .pem, .cer) with name.key',
  'pairs-too-many': 'the folder holds more than 32 certificates, and the rest of them, by name, is not looked at: remove old pairs',
  'certificate-unreadable': 'no PEM certificate, or only half of one was written so far',
  'certificate-weak': 'the certificate is signed with SHA-1 or MD5: have a new one issued with SHA-256',
  'key-unreadable': 'no PEM private key (PKCS#8, PKCS#1 or SEC1), or only half of one was written so far',
  'key-encrypted': 'the private key is encrypted: give its passphrase with passphrase_file',
  'passphrase-wrong': 'the passphrase does not open the private key: compare passphrase_file',
  'key-mismatch': 'certificate and private key do not belong together, or one of the two was not written yet',
  'key-weak': 'the RSA key is shorter than 2048 bits',
  'key-unsupported': 'the key is of a kind that cannot be used here: RSA, P-256 or Ed25519',
  pkcs12:
    'PKCS#12 is not read. Convert it: openssl pkcs12 -in FILE -clcerts -nokeys -out tls.crt && openssl pkcs12 -in FILE -nocerts -noenc -out tls.key (add -legacy to both for files that older tools wrote)',
  'jwk-unreadable': 'no JSON Web Key, or only half of one was written so far',
  'jwk-set': 'a set of keys: write one private key, without `keys`',
  'key-symmetric': 'a symmetric key: the provider would have to know it, too; use client_secret_file',
  'key-public': 'the public half only',
  'key-not-for-signing': 'the key says that it is for something else (use, key_ops)',
  'algorithm-mismatch': 'the key cannot sign with the algorithm it names (alg)',
  'kid-absent': 'the key has no usable kid: 1 to 128 visible characters',
  'secret-unusable': 'the file is empty, too large or holds control characters',
  'assertion-unreadable': 'no JWT in the file, or only half of one was written so far',
  'assertion-expired': 'the assertion in the file has expired: whoever writes the file has stopped',
  'not-yet-valid': 'the certificate is not valid yet',
  expired: 'the certificate has expired',
} as const

export type Fault = keyof typeof FAULTS
