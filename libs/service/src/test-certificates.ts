/** Certificates for tests: a CA of their own, and what it signs. */
import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  BasicConstraintsExtension,
  cryptoProvider,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  PemConverter,
  SubjectAlternativeNameExtension,
  type X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509';

// biome-ignore lint/suspicious/noExplicitAny: the library is typed for a browser's
cryptoProvider.set(webcrypto as any);

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const dayMs = 86_400_000;

type Keys = Awaited<ReturnType<typeof newKeys>>;

function newKeys() {
  return webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
}

async function keyPem({ privateKey }: Keys): Promise<string> {
  return PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', privateKey), 'PRIVATE KEY');
}

export interface Issued {
  /** PEM. */
  readonly cert: string;
  readonly key: string;
}

export class TestCa {
  private constructor(
    private readonly certificate: X509Certificate,
    private readonly keys: Keys,
  ) {}

  static async make(name = 'EmoTune test CA'): Promise<TestCa> {
    const keys = await newKeys();
    const certificate = await X509CertificateGenerator.createSelfSigned({
      ...{ name: `CN=${name}`, keys: keys as never, signingAlgorithm: algorithm },
      ...{ notBefore: new Date(Date.now() - dayMs), notAfter: new Date(Date.now() + dayMs) },
      extensions: [new BasicConstraintsExtension(true, undefined, true)],
    });
    return new TestCa(certificate, keys);
  }

  /** PEM. */
  get pem(): string {
    return this.certificate.toString('pem');
  }

  /** For server and client. @param days until it ends; a negative number: it has ended */
  async issue(name: string, { hosts = ['127.0.0.1', 'localhost'], days = 1 } = {}): Promise<Issued> {
    const keys = await newKeys();
    const notAfter = new Date(Date.now() + days * dayMs);
    const certificate = await X509CertificateGenerator.create({
      ...{ subject: `CN=${name}`, issuer: this.certificate.subject, publicKey: keys.publicKey as never },
      ...{ signingKey: this.keys.privateKey as never, signingAlgorithm: algorithm },
      ...{ notBefore: new Date(notAfter.getTime() - 10 * dayMs), notAfter },
      extensions: [
        new SubjectAlternativeNameExtension(
          hosts.map((value) => ({ type: /^[\d.]+$/.test(value) ? 'ip' : 'dns', value })),
        ),
        new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth, ExtendedKeyUsage.clientAuth]),
      ],
    });
    return { cert: certificate.toString('pem'), key: await keyPem(keys) };
  }

  /** Writes them as a mounted secret has them; gives the variables that name the files. */
  write(folder: string, { cert, key }: Issued): Record<string, string> {
    mkdirSync(folder, { recursive: true });
    const files = { EMOTUNE_TLS_CERT_FILE: cert, EMOTUNE_TLS_KEY_FILE: key, EMOTUNE_TLS_CA_FILE: this.pem };
    return Object.fromEntries(
      Object.entries(files).map(([variable, text]) => {
        const file = join(folder, variable.replace(/^EMOTUNE_TLS_|_FILE$/g, '').toLowerCase());
        writeFileSync(`${file}.new`, text, { mode: 0o600 });
        renameSync(`${file}.new`, file);
        return [variable, file];
      }),
    );
  }
}
