/** Pods that a namespace takes that enforces `restricted`. */
interface PodOptions {
  readonly namespace: string;
  readonly name: string;
  readonly image: string;
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Ready when its gRPC health says so. */
  readonly serves?: boolean;
}

/** With a read-only root, and only /tmp to write to. */
export function pod({ namespace, name, image, args = [], env = {}, serves = false }: PodOptions): object {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { namespace, name },
    spec: {
      restartPolicy: 'Never',
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      terminationGracePeriodSeconds: 15,
      securityContext: { runAsNonRoot: true, fsGroup: 65532, seccompProfile: { type: 'RuntimeDefault' } },
      containers: [
        {
          name: 'main',
          image,
          imagePullPolicy: 'Never',
          args,
          env: Object.entries(env).map(([variable, value]) => ({ name: variable, value })),
          ...(serves && { readinessProbe: { grpc: { port: 50051 }, periodSeconds: 1 } }),
          securityContext: {
            allowPrivilegeEscalation: false,
            readOnlyRootFilesystem: true,
            capabilities: { drop: ['ALL'] },
          },
          volumeMounts: [{ name: 'tmp', mountPath: '/tmp' }],
        },
      ],
      volumes: [{ name: 'tmp', emptyDir: {} }],
    },
  };
}
