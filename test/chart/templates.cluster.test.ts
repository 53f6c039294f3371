/** What the chart makes of values, judged by Helm and by a real API server; and what it refuses. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { readJobTemplate } from '@emotune/jobs/kubernetes';
import { type Cluster, kubeLinter, startCluster, withoutCluster, withoutKubeLinter } from '@emotune/local';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import {
  apply,
  chartFolder,
  environmentOf,
  listOf,
  type Manifest,
  ofKind,
  podsOf,
  type Rendered,
  render,
  services,
  type ValueFile,
  valueFiles,
  valuesOf,
  withFile,
} from './rendered.js';

const reason = withoutCluster('control');
if (reason) process.stderr.write(`skipped: ${reason}\n`);

const operator = ['--api-versions', 'monitoring.coreos.com/v1'];

describe.skipIf(reason)('the chart', () => {
  let cluster: Cluster;
  let rendered: Record<ValueFile, Rendered>;

  beforeAll(async () => {
    cluster = await startCluster('control');
    rendered = Object.fromEntries(
      await Promise.all(valueFiles.map(async (name) => [name, await render(cluster, name, ...operator)])),
    );
  });
  afterAll(() => cluster?.stop());

  it.each(valueFiles)('lints with %s values', async (name) => {
    expect(await cluster.helm('lint', '--strict', chartFolder, '-f', valuesOf(name))).toMatch(
      '0 chart(s) failed',
    );
  });

  const noLinter = withoutKubeLinter();
  if (noLinter) process.stderr.write(`skipped: ${noLinter}\n`);

  it.skipIf(noLinter).each(valueFiles)('pleases kube-linter with %s values', async (name) => {
    const documents = [...rendered[name].values()].map((each) => stringify(each));
    await withFile(documents.join('---\n'), async (file) => {
      expect(await kubeLinter(file)).toMatch('No lint errors found!');
    });
  });

  describe('refuses', () => {
    const refusal = async (values: readonly string[]): Promise<string> => {
      const args = values.flatMap((value) => [value.includes('={') ? '--set-json' : '--set', value]);
      return render(cluster, 'minimal', ...args).then(
        () => 'nothing',
        ({ stderr }) => stderr,
      );
    };

    it.each([
      // A value of the wrong type.
      ['data.replicas=two', "at '/data/replicas': got string, want integer"],
      ['networkPolicy.enabled=yes-please', "at '/networkPolicy/enabled': got string, want boolean"],
      ['jobs.tolerations=all', "at '/jobs/tolerations': got string, want array"],
      ['inference.resources=many', "at '/inference/resources': got string, want object"],
      // A key that does not exist, at any depth.
      ['replicas=2', "at '': additional properties 'replicas' not allowed"],
      ['tuning.image.name=x', "at '/tuning/image': additional properties 'name' not allowed"],
      [
        'common.affinity.podaffinity.x=1',
        "at '/common/affinity': additional properties 'podaffinity' not allowed",
      ],
      // One of a list.
      ['inference.compute=fp64', "at '/inference/compute': value must be one of 'fp32', 'fp16', 'int8'"],
      ['kafka.sasl.mechanism=GSSAPI', "at '/kafka/sasl/mechanism': value must be one of"],
      // A number out of range.
      ['evaluation.replicas=-1', "at '/evaluation/replicas': minimum: got -1, want 0"],
      ['data.service.port=70000', "at '/data/service/port': maximum: got 70,000, want 65,535"],
      // Text that means nothing: quantity, digest, URL, address, name, label, duration.
      ['data.cache.size=20GB', "at '/data/cache/size': '20GB' does not match pattern"],
      ['data.image.digest=sha256:abc', "at '/data/image/digest': 'sha256:abc' does not match pattern"],
      ['objects.url=gs://bucket', "at '/objects/url': 'gs://bucket' does not match pattern"],
      ['kafka.brokers[0]=kafka', "at '/kafka/brokers/0': 'kafka' does not match pattern"],
      ['token.existingSecret=My_Secret', "at '/token/existingSecret': 'My_Secret' does not match pattern"],
      ['jobs.labels={"a b": "c"}', "at '/jobs/labels': additional properties 'a b' not allowed"],
      [
        'metrics.serviceMonitor.interval=soon',
        "at '/metrics/serviceMonitor/interval': 'soon' does not match",
      ],
      // A credential in a value.
      ['database.url=postgres://user:secret@host/db', "at '/database/url': "],
    ])('%s', async (value, expected) => {
      expect(await refusal([value])).toContain(expected);
    });

    it.each([
      [['database.existingSecret='], 'database.existingSecret: expected the name of a secret'],
      [['objects.url='], 'objects.url: expected s3://bucket, got nothing'],
      [['objects.url=file:///shared'], 'objects.existingClaim: expected a claim to be mounted at /shared'],
      [['objects.existingClaim=shared'], 'objects.existingClaim: expected objects.url to be file:///folder'],
      [['bundled.s3.enabled=true'], 'objects.url: expected nothing, since bundled.s3.enabled is true'],
      [
        ['migrations.url=postgres://owner@host/db'],
        'migrations.existingSecret: expected a secret with the password',
      ],
      [
        ['migrations.existingSecret=owner', 'migrations.enabled=false'],
        'migrations.existingSecret: expected nothing, since migrations.enabled is false',
      ],
      [['kafka.sasl.mechanism=PLAIN'], 'kafka.sasl: expected username and existingSecret'],
      [['kafka.tls.clientCertificate=true'], 'kafka.tls.existingSecret: expected a secret'],
      [['tls.enabled=true'], 'tls.existingSecret: expected a secret'],
      [['identity.oidc.issuer=https://x.example'], 'identity.rolesConfigMap: expected a ConfigMap'],
      [['gateway.enabled=true'], 'gateway.parentRefs: expected at least one gateway'],
      [['ingress.enabled=true'], 'ingress: expected host and tlsSecret'],
      [['studies.enabled=true'], 'studies.url: expected the URL by which raters reach the page'],
      [['studies.ingress.enabled=true'], 'studies.ingress: expected studies.enabled and tlsSecret'],
      [
        ['inference.autoscaling.enabled=true', 'inference.autoscaling.minReplicas=9'],
        'inference.autoscaling.minReplicas: expected at most maxReplicas, 8, got 9',
      ],
    ])('%s', async (values, expected) => {
      expect(await refusal(values)).toContain(expected);
    });

    it('all that values lack at once', async () => {
      const told = await refusal(['database.existingSecret=', 'objects.url=', 'tls.enabled=true']);
      expect(told.match(/: expected/g)).toHaveLength(3);
    });
  });

  it.each(valueFiles)('%s: no pod may more than the restricted level allows, and none is root', (name) => {
    for (const [pod, spec] of podsOf(rendered[name])) {
      expect(spec.securityContext, pod).toMatchObject({
        runAsNonRoot: true,
        seccompProfile: { type: 'RuntimeDefault' },
      });
      expect(spec.enableServiceLinks, pod).toBe(false);
      for (const container of spec.containers) {
        expect(container.securityContext, pod).toEqual({
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ['ALL'] },
        });
        expect(container.resources, pod).toMatchObject({
          requests: { cpu: expect.anything(), memory: expect.anything() },
          limits: { memory: expect.anything() },
        });
        expect(container.image, pod).toMatch(/:[\w.-]+$|@sha256:[\da-f]{64}$/);
      }
    }
  });

  it('only tuning is given a token of the Kubernetes API; with token reviews, all services', () => {
    const withToken = (name: ValueFile) =>
      podsOf(rendered[name]).flatMap(([pod, spec]) =>
        spec.automountServiceAccountToken === false ? [] : [pod],
      );
    expect(withToken('minimal')).toEqual(['Deployment/try-emotune-tuning']);
    expect(withToken('evaluation')).toEqual(['Deployment/try-emotune-tuning']);
    expect(withToken('production').sort()).toEqual(
      services.map((area) => `Deployment/try-emotune-${area}`).sort(),
    );
    for (const name of valueFiles)
      for (const account of ofKind(rendered[name], 'ServiceAccount'))
        expect(account.automountServiceAccountToken).toBe(false);
  });

  it.each(valueFiles)('%s: every pod has a service account of its own', (name) => {
    const accounts = podsOf(rendered[name]).flatMap(([, spec]) => spec.serviceAccountName ?? []);
    expect(new Set(accounts).size).toBe(accounts.length);
    for (const account of accounts) expect(rendered[name].has(`ServiceAccount/${account}`)).toBe(true);
  });

  it('credentials are files and references, in no value', () => {
    for (const name of valueFiles)
      for (const [pod, spec] of podsOf(rendered[name]))
        for (const { name: variable, value } of spec.containers.flatMap(({ env = [] }: Manifest) => env))
          if (/TOKEN$|PASSWORD$|SECRET|ACCESS_KEY/.test(variable))
            expect(value, `${pod} ${variable}`).toBeUndefined();
    expect(environmentOf(rendered.minimal, 'data').EMOTUNE_DATABASE_URL).toEqual({
      secretKeyRef: { name: 'emotune-database', key: 'url' },
    });
    expect(environmentOf(rendered.production, 'data')).toMatchObject({
      EMOTUNE_DATABASE_URL: 'postgres://emotune@postgresql.databases:5432/emotune?sslmode=verify-full',
      EMOTUNE_DATABASE_PASSWORD_FILE: '/etc/emotune/database/password',
      EMOTUNE_KAFKA_PASSWORD_FILE: '/etc/emotune/kafka/password',
      AWS_SECRET_ACCESS_KEY: { secretKeyRef: { name: 'emotune-s3', key: 'secret-access-key' } },
      HF_TOKEN: { secretKeyRef: { name: 'hugging-face', key: 'token' } },
    });
    // By pod identity.
    expect(environmentOf(rendered.minimal, 'data')).not.toHaveProperty('AWS_ACCESS_KEY_ID');
  });

  describe('a Job of each revision migrates,', () => {
    const jobOf = (all: Rendered) => ofKind(all, 'Job')[0];
    const variablesOf = (all: Rendered, i: number) =>
      Object.fromEntries(
        jobOf(all).spec.template.spec.containers[i].env.map(({ name, value, valueFrom }: Manifest) => [
          name,
          value ?? valueFrom,
        ]),
      );

    it('a container for each schema, while services wait', () => {
      const job = jobOf(rendered.minimal);
      expect(job.metadata.name).toMatch(/^try-emotune-migrations-1-[\da-f]{8}$/);
      expect(job.metadata.annotations).toBeUndefined();
      const { containers } = job.spec.template.spec;
      expect(containers.map(({ name, image, args }: Manifest) => [name, image, args])).toEqual(
        services.map((area) => [area, `emotune-${area}:0.2.0`, ['migrate']]),
      );
      expect(job.spec).toMatchObject({ ttlSecondsAfterFinished: 86_400, backoffLimit: 6 });
      for (const area of services)
        expect(environmentOf(rendered.minimal, area).EMOTUNE_MIGRATIONS).toBe('await');
    });

    it('of another name when it is another', async () => {
      const again = await render(cluster, 'minimal');
      expect(jobOf(again).metadata.name).toBe(jobOf(rendered.minimal).metadata.name);
      const other = await render(cluster, 'minimal', '--set', 'image.tag=0.2.1');
      expect(jobOf(other).metadata.name).not.toBe(jobOf(again).metadata.name);
    });

    it('with the credentials of the services, or its own', async () => {
      expect(variablesOf(rendered.minimal, 0)).toEqual({
        EMOTUNE_DATABASE_URL: { secretKeyRef: { name: 'emotune-database', key: 'url' } },
        EMOTUNE_BUS_URL: '$(EMOTUNE_DATABASE_URL)',
      });
      const owner = ['--set', 'migrations.existingSecret=owner,migrations.urlKey=dsn'];
      const whole = await render(cluster, 'production', ...owner);
      expect(variablesOf(whole, 4)).toMatchObject({
        EMOTUNE_DATABASE_URL: { secretKeyRef: { name: 'owner', key: 'dsn' } },
        EMOTUNE_BUS_URL: expect.stringMatching(/^kafka:/),
      });
      const url = 'postgres://owner@postgresql.databases:6432/emotune';
      const apart = await render(
        cluster,
        ...(['minimal', '--set', `migrations.existingSecret=owner,migrations.url=${url}`] as const),
      );
      expect(variablesOf(apart, 0)).toMatchObject({
        EMOTUNE_DATABASE_URL: url,
        EMOTUNE_DATABASE_PASSWORD_FILE: '/etc/emotune/database/password',
      });
      const { volumes, containers } = jobOf(apart).spec.template.spec;
      expect(volumes.find(({ name }: Manifest) => name === 'database').secret).toMatchObject({
        secretName: 'owner',
        items: [{ key: 'password', path: 'password' }],
      });
      expect(containers[0].volumeMounts).toContainEqual(
        expect.objectContaining({ name: 'database', mountPath: '/etc/emotune/database' }),
      );
      const { egress } = apart.get('NetworkPolicy/try-emotune-migrations').spec;
      expect(egress.at(-1).ports).toEqual([{ port: 6432 }]);
      // Services go on as who they are.
      expect(environmentOf(apart, 'data').EMOTUNE_DATABASE_URL).toEqual({
        secretKeyRef: { name: 'emotune-database', key: 'url' },
      });
    });

    it('or each service does, when it starts', async () => {
      const without = await render(cluster, 'minimal', '--set', 'migrations.enabled=false');
      expect(ofKind(without, 'Job')).toEqual([]);
      expect(without.has('NetworkPolicy/try-emotune-migrations')).toBe(false);
      expect(environmentOf(without, 'data')).not.toHaveProperty('EMOTUNE_MIGRATIONS');
    });
  });

  it('the bus is Kafka where there are brokers, and PostgreSQL else', () => {
    expect(environmentOf(rendered.minimal, 'tuning').EMOTUNE_BUS_URL).toBe('$(EMOTUNE_DATABASE_URL)');
    expect(environmentOf(rendered.evaluation, 'tuning')).toMatchObject({
      EMOTUNE_BUS_URL: 'kafka://try-emotune-kafka:9092',
      EMOTUNE_KAFKA_REPLICATION: '1',
    });
    expect(environmentOf(rendered.production, 'tuning').EMOTUNE_BUS_URL).toBe(
      'kafka://kafka-0.kafka:9093,kafka-1.kafka:9093,kafka-2.kafka:9094',
    );
  });

  it('every file that a variable names is mounted', () => {
    for (const name of valueFiles)
      for (const area of services) {
        const [container] = rendered[name].get(`Deployment/try-emotune-${area}`).spec.template.spec
          .containers;
        const places = container.volumeMounts.map(({ mountPath }: Manifest) => `${mountPath}/`);
        for (const [variable, value] of Object.entries(environmentOf(rendered[name], area)))
          if (/_FILE$|_TEMPLATE$|_DIR$|^HF_HOME$/.test(variable))
            expect(
              places.some((place: string) => String(value).startsWith(place)),
              variable,
            ).toBe(true);
      }
  });

  it('every variable of ours is one that services read', () => {
    const document = readFileSync(
      fileURLToPath(new URL('../../docs/environment.md', import.meta.url)),
      'utf8',
    );
    // Metrics and their variable come with telemetry.
    for (const area of services)
      for (const variable of Object.keys(environmentOf(rendered.production, area)))
        if (variable.startsWith('EMOTUNE_') && variable !== 'EMOTUNE_METRICS_LISTEN')
          expect(document).toContain(`\`${variable}\``);
  });

  it('services know the peers that they call, by addresses that are there', () => {
    const document = readFileSync(
      fileURLToPath(new URL('../../docs/environment.md', import.meta.url)),
      'utf8',
    );
    const [calls] = document.slice(document.lastIndexOf('| service ')).split('\n\n');
    for (const line of calls.trim().split('\n').slice(2)) {
      const [, area, peers] = line.split('|').map((cell) => cell.trim());
      const told = String(environmentOf(rendered.minimal, area).EMOTUNE_PEERS ?? '');
      expect(told.split(',').map((entry) => entry.split('=')[0])).toEqual(peers.split(', '));
      for (const entry of told.split(',').filter(Boolean)) {
        const [peer, address] = entry.split('=');
        expect(address).toBe(`try-emotune-${peer}.place.svc:50051`);
        expect(rendered.minimal.get(`Service/try-emotune-${peer}`).spec.ports[0].port).toBe(50051);
      }
    }
  });

  it('a pod is given time to drain, and is asked about its health without TLS', () => {
    for (const name of valueFiles)
      for (const area of services) {
        const pod = rendered[name].get(`Deployment/try-emotune-${area}`).spec.template.spec;
        const [container] = pod.containers;
        const variables = environmentOf(rendered[name], area);
        const drain = Number(variables.EMOTUNE_DRAIN_SECONDS) + container.lifecycle.preStop.sleep.seconds;
        expect(pod.terminationGracePeriodSeconds).toBeGreaterThan(drain + 2);
        const port = name === 'production' ? 50052 : 50051;
        const listen = variables.EMOTUNE_HEALTH_LISTEN ?? variables.EMOTUNE_LISTEN;
        expect(listen).toBe(`0.0.0.0:${port}`);
        // One that waits for its database must not be started again for that.
        expect(container.startupProbe.grpc).toEqual({ port, service: 'live' });
        expect(container.livenessProbe.grpc).toEqual({ port, service: 'live' });
        expect(container.readinessProbe.grpc).toEqual({ port });
      }
  });

  it('a disruption budget stands only where there is more than one replica', () => {
    expect(ofKind(rendered.minimal, 'PodDisruptionBudget')).toEqual([]);
    expect(
      ofKind(rendered.production, 'PodDisruptionBudget')
        .map(({ metadata }) => metadata.name)
        .sort(),
    ).toEqual(services.map((area) => `try-emotune-${area}`).sort());
  });

  it('autoscaling counts the replicas of inference, not the Deployment', () => {
    expect(rendered.production.get('Deployment/try-emotune-inference').spec).not.toHaveProperty('replicas');
    expect(rendered.minimal.get('Deployment/try-emotune-inference').spec.replicas).toBe(1);
    expect(rendered.production.get('HorizontalPodAutoscaler/try-emotune-inference').spec).toMatchObject({
      scaleTargetRef: { kind: 'Deployment', name: 'try-emotune-inference' },
      minReplicas: 2,
      maxReplicas: 12,
    });
  });

  it('labels by which pods are selected hold no version', () => {
    for (const { spec } of ofKind(rendered.production, 'Deployment')) {
      expect(Object.keys(spec.selector.matchLabels).sort()).toEqual([
        'app.kubernetes.io/component',
        'app.kubernetes.io/instance',
        'app.kubernetes.io/name',
      ]);
      expect(spec.template.metadata.labels).toMatchObject(spec.selector.matchLabels);
    }
  });

  it('images are of the tag, the registry or the digest that values name', () => {
    const imageOf = (name: ValueFile, area: string) =>
      rendered[name].get(`Deployment/try-emotune-${area}`).spec.template.spec.containers[0].image;
    expect(imageOf('minimal', 'data')).toBe('emotune-data:0.2.0');
    expect(imageOf('production', 'data')).toBe('registry.example.com/emotune/emotune-data:0.2.0');
    expect(imageOf('production', 'inference')).toMatch(
      /^registry\.example\.com\/emotune\/emotune-inference@sha256:fedc/,
    );
  });

  it('nothing reaches a pod, and no pod anything, but what a policy names', () => {
    const policies = new Map(
      ofKind(rendered.production, 'NetworkPolicy').map((policy) => [policy.metadata.name, policy.spec]),
    );
    expect(policies.get('try-emotune-default-deny')).toEqual({
      podSelector: {
        matchLabels: { 'app.kubernetes.io/name': 'emotune', 'app.kubernetes.io/instance': 'try' },
      },
      policyTypes: ['Ingress', 'Egress'],
    });
    const callers = (area: string) =>
      policies
        .get(`try-emotune-${area}`)
        .ingress[0].from.flatMap(
          ({ podSelector }: Manifest) => podSelector?.matchLabels?.['app.kubernetes.io/component'] ?? [],
        );
    expect(callers('data')).toEqual(['featurization', 'evaluation']);
    expect(callers('tuning')).toEqual(['featurization', 'evaluation', 'inference', 'trainer']);
    expect(callers('inference')).toEqual([]);
    const ports = (area: string) =>
      policies
        .get(`try-emotune-${area}`)
        .egress.flatMap((rule: Manifest) => rule.ports.map(({ port }: Manifest) => port));
    // DNS, peers, database, brokers, objects, Kubernetes, issuer, traces.
    expect(ports('tuning')).toEqual([53, 53, 50051, 5432, 9093, 9094, 9000, 443, 6443, 443, 4317]);
    expect(ports('trainer')).toEqual([53, 53, 50051, 9000, 4317]);
    const trainer = policies.get('try-emotune-trainer');
    expect(trainer.policyTypes).toEqual(['Ingress', 'Egress']);
    expect(trainer).not.toHaveProperty('ingress');
  });

  it('raters reach their page, and nothing else by it', () => {
    const { production, minimal } = rendered;
    expect(environmentOf(production, 'evaluation')).toMatchObject({
      EMOTUNE_STUDIES_LISTEN: '0.0.0.0:8080',
      EMOTUNE_STUDIES_URL: 'https://studies.example.com',
    });
    expect(production.get('Ingress/try-emotune-studies').spec.rules).toEqual([
      {
        host: 'studies.example.com',
        http: {
          paths: [
            {
              path: '/studies',
              pathType: 'Prefix',
              backend: { service: { name: 'try-emotune-evaluation', port: { name: 'studies' } } },
            },
          ],
        },
      },
    ]);
    expect(production.get('NetworkPolicy/try-emotune-evaluation').spec.ingress).toContainEqual({
      ports: [{ port: 'studies' }],
      from: [{ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'ingress' } } }],
    });
    expect(environmentOf(minimal, 'evaluation')).not.toHaveProperty('EMOTUNE_STUDIES_LISTEN');
    expect(minimal.get('Service/try-emotune-evaluation').spec.ports).toHaveLength(1);
  });

  it('trainers get what values say of Jobs, and where objects are', async () => {
    const template = (name: ValueFile) =>
      parse(rendered[name].get('ConfigMap/try-emotune-job-template').data['template.yaml']);
    expect(template('production')).toMatchObject({
      labels: { 'app.kubernetes.io/instance': 'try', 'kueue.x-k8s.io/queue-name': 'trials' },
      serviceAccountName: 'try-emotune-trainer',
      priorityClassName: 'try-emotune-trials',
      nodeSelector: { 'nvidia.com/gpu.present': 'true' },
      imagePullSecrets: [{ name: 'registry' }],
      env: expect.arrayContaining([
        { name: 'CUDA_CACHE_DISABLE', value: '1' },
        { name: 'EMOTUNE_S3_ENDPOINT', value: 'https://s3.storage.example.com:9000' },
        {
          name: 'AWS_SECRET_ACCESS_KEY',
          valueFrom: { secretKeyRef: { name: 'emotune-s3', key: 'secret-access-key' } },
        },
      ]),
    });
    expect(template('minimal')).not.toHaveProperty('priorityClassName');
    // The service takes each key, and no other.
    for (const name of valueFiles)
      await withFile(template(name), async (file) => {
        expect(readJobTemplate(file)).toMatchObject({ gpuResource: 'nvidia.com/gpu' });
      });
  });

  it('a folder as object store is mounted in services and trainers', async () => {
    const shared = await render(
      cluster,
      'minimal',
      '--set',
      'objects.url=file:///shared,objects.existingClaim=artifacts',
    );
    const mount = { name: 'objects', mountPath: '/shared' };
    const [container] = shared.get('Deployment/try-emotune-inference').spec.template.spec.containers;
    expect(container.volumeMounts).toContainEqual(mount);
    const template = parse(shared.get('ConfigMap/try-emotune-job-template').data['template.yaml']);
    expect(template).toMatchObject({
      volumeMounts: [mount],
      volumes: [{ name: 'objects', persistentVolumeClaim: { claimName: 'artifacts' } }],
    });
  });

  it('Jobs may have a namespace of their own, and only there tuning has rights', async () => {
    const apart = await render(cluster, 'minimal', '--set', 'jobs.namespace=trials,jobs.quota.enabled=true');
    const places = [
      'Role/try-emotune-tuning-jobs',
      'RoleBinding/try-emotune-tuning-jobs',
      'ResourceQuota/try-emotune-jobs',
      'ServiceAccount/try-emotune-trainer',
      'NetworkPolicy/try-emotune-trainer',
    ];
    for (const name of places) expect(apart.get(name).metadata.namespace, name).toBe('trials');
    expect(apart.get('RoleBinding/try-emotune-tuning-jobs').subjects).toEqual([
      { kind: 'ServiceAccount', name: 'try-emotune-tuning', namespace: 'place' },
    ]);
    expect(environmentOf(apart, 'tuning').EMOTUNE_K8S_NAMESPACE).toBe('trials');
    // Beside the pods that are elected.
    expect(apart.get('Role/try-emotune-tuning-leases').metadata.namespace).toBe('place');
  });

  it('monitors are made where the operator is, and left out with a word else', async () => {
    expect(ofKind(rendered.production, 'ServiceMonitor')).toHaveLength(1);
    const [rule, ...others] = ofKind(rendered.production, 'PrometheusRule');
    expect(others).toEqual([]);
    type Rules = { alert: string; expr: string }[];
    const alerts = new Map((rule.spec.groups[0].rules as Rules).map(({ alert, expr }) => [alert, expr]));
    expect([...alerts.keys()]).toEqual([
      ...['EmotuneServiceAway', 'EmotuneEventsWait', 'EmotuneCallsFail', 'EmotuneTrialsWait'],
      ...['EmotuneCertificateEnds', 'EmotuneLoopHeld', 'EmotuneMetricsUnread'],
    ]);
    for (const expression of alerts.values()) expect(expression).toContain('{namespace="place"');
    expect(alerts.get('EmotuneEventsWait')).toBe(
      'max by (service) (emotune_outbox_oldest_seconds{namespace="place"}) > 300',
    );
    const without = await render(cluster, 'production');
    expect(ofKind(without, 'ServiceMonitor')).toEqual([]);
    const notes = await cluster.helm(
      'install',
      'try',
      chartFolder,
      '--dry-run=client',
      '-f',
      valuesOf('production'),
    );
    expect(notes).toContain('WARNING: the cluster does not have monitoring.coreos.com/v1');
  });

  it('notes tell how to reach the services, IPv6 addresses in brackets', async () => {
    const notes = await cluster.helm(
      ...['install', 'try', chartFolder, '--dry-run=client', '-f', valuesOf('minimal')],
    );
    const [, each] = /go-template='{{range \.items}}(.*){{end}}'/.exec(notes)!;
    const address = (clusterIP: string, family: string) => {
      const labels = { 'app.kubernetes.io/component': 'data' };
      const spec = { clusterIP, ipFamilies: [family], ports: [{ port: 50051 }] };
      const service = { apiVersion: 'v1', kind: 'Service', metadata: { name: 'data', labels }, spec };
      return withFile(service, (file) =>
        cluster.kubectl('label', '--local', '-f', file, 'a=b', '-o', `go-template=${each}`),
      );
    };
    expect(await address('10.0.0.1', 'IPv4')).toBe('data=10.0.0.1:50051,');
    expect(await address('fd00::1', 'IPv6')).toBe('data=[fd00::1]:50051,');
  });

  it('bundled components are called what they are for', async () => {
    const notes = await cluster.helm(
      'install',
      'try',
      chartFolder,
      '--dry-run=client',
      '-f',
      valuesOf('evaluation'),
    );
    for (const name of ['kafka', 'postgresql', 's3'])
      expect(notes).toContain(`WARNING: ${name} is the bundled one, for evaluation only`);
  });

  describe('by a real API server, in a namespace of the restricted level,', () => {
    beforeAll(async () => {
      await cluster.kubectl('create', 'namespace', 'place');
      await cluster.kubectl('label', 'namespace', 'place', 'pod-security.kubernetes.io/enforce=restricted');
    });

    // Kinds that a cluster has only with an operator.
    const foreign = ['ServiceMonitor', 'PrometheusRule', 'Certificate', 'GRPCRoute'];

    it.each(valueFiles)('%s is taken whole, pods and all', async (name) => {
      const claims = (pod: string) =>
        (rendered[name].get(pod).spec.volumeClaimTemplates ?? []).map(({ metadata }: Manifest) => ({
          name: metadata.name,
          persistentVolumeClaim: { claimName: metadata.name },
        }));
      const objects = [...rendered[name].values()].filter(({ kind }) => !foreign.includes(kind));
      // Admission judges pods, not what makes them.
      const pods = podsOf(rendered[name]).map(([pod, spec]) => ({
        ...{ apiVersion: 'v1', kind: 'Pod' },
        metadata: { name: pod.split('/')[1], namespace: 'place' },
        spec: {
          ...spec,
          ...{ serviceAccountName: 'default', priorityClassName: undefined },
          volumes: [...spec.volumes, ...claims(pod)],
        },
      }));
      const list = listOf([...objects, ...pods]);
      const told = await apply(cluster, list, '--dry-run=server', '--validate=strict');
      expect(told.trim().split('\n')).toHaveLength(list.items.length);
      expect(told).not.toMatch(/warning/i);
    });

    it('tuning may do with Jobs what it must, in their namespace alone; nobody else may anything', async () => {
      await cluster.kubectl('create', 'namespace', 'elsewhere');
      const roles = [...rendered.minimal.values()].filter(({ kind }) =>
        /Role|ServiceAccount|CustomResourceDefinition/.test(kind),
      );
      await apply(cluster, listOf(roles));
      await cluster.kubectl('wait', '--for=condition=Established', 'crd/experiments.emotune.io');
      /** @param what `pods/log` is a part of pods, `leases.coordination.k8s.io/name` one Lease. */
      const may = async (area: string, verb: string, what: string, namespace = 'place') => {
        const [resource, part] = what.startsWith('leases') ? [what] : what.split('/');
        const who = `system:serviceaccount:place:try-emotune-${area}`;
        const args = [verb, resource, '-n', namespace, '--as', who, ...(part ? ['--subresource', part] : [])];
        return cluster.kubectl('auth', 'can-i', ...args).then(
          () => true,
          () => false,
        );
      };
      const needed = [
        ...['get', 'list', 'watch', 'create', 'patch', 'delete'].map((verb) => [verb, 'jobs.batch']),
        ...['list', 'watch', 'patch', 'delete'].map((verb) => [verb, 'pods']),
        ['get', 'pods/log'],
        ['create', 'secrets'],
        ['get', 'secrets'],
        ...['create', 'list'].map((verb) => [verb, 'events']),
        ...['list', 'watch', 'create', 'delete'].map((verb) => [verb, 'experiments.emotune.io']),
        ['patch', 'experiments.emotune.io/status'],
      ];
      const { rules } = rendered.minimal.get('Role/try-emotune-tuning-jobs');
      const given = rules.flatMap(({ apiGroups: [group], resources: [resource], verbs }: Manifest) =>
        verbs.map((verb: string) => {
          const [kind, ...part] = resource.split('/');
          return [verb, [[kind, group].filter(Boolean).join('.'), ...part].join('/')];
        }),
      );
      expect(given.sort()).toEqual([...needed].sort());
      for (const [verb, what] of needed) {
        expect(await may('tuning', verb, what), `${verb} ${what}`).toBe(true);
        if (verb === 'create')
          expect(await may('tuning', verb, what, 'elsewhere'), `${verb} ${what} elsewhere`).toBe(false);
      }
      const { EMOTUNE_K8S_LEASES: leases } = environmentOf(rendered.minimal, 'tuning');
      for (const verb of ['get', 'update'])
        for (const name of [`${leases}-controller`, `${leases}-experiment-objects`])
          expect(await may('tuning', verb, `leases.coordination.k8s.io/${name}`), verb).toBe(true);
      expect(await may('tuning', 'create', 'leases.coordination.k8s.io')).toBe(true);
      expect(await may('tuning', 'create', 'leases.coordination.k8s.io', 'elsewhere')).toBe(false);
      for (const [verb, what] of [
        ['update', 'leases.coordination.k8s.io/of-others'],
        ['delete', `leases.coordination.k8s.io/${leases}-controller`],
      ])
        expect(await may('tuning', verb, what), `${verb} ${what}`).toBe(false);
      for (const area of ['data', 'inference', 'trainer'])
        for (const [verb, what] of [
          ['get', 'leases.coordination.k8s.io'],
          ['get', 'pods'],
          ['create', 'jobs.batch'],
        ])
          expect(await may(area, verb, what), `${area}: ${verb} ${what}`).toBe(false);
      for (const [verb, what] of [
        ['list', 'secrets'],
        ['delete', 'secrets'],
        ['create', 'pods'],
        ['create', 'pods/exec'],
        ['delete', 'deployments.apps'],
        ['create', 'roles.rbac.authorization.k8s.io'],
        ['get', 'nodes'],
      ])
        expect(await may('tuning', verb, what), `${verb} ${what}`).toBe(false);
    });
  });
});
