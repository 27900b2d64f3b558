// A database whose secret is rotated by a function of Quarterturn's own stack (template.yaml or template.json), imported by
// its ARN from that stack's export. Terraform's module exports nothing to CloudFormation: there, put the ARN of its output
// function_arns in place of Fn.importValue. CDK adds no permission to an imported function: the stack has one already, for
// this account alone.
//
//   npm ci           # from the network
//   npm run synth    # writes cdk.out; needs neither network nor account
//
// README.md says how to deploy it.
const cdk = require('aws-cdk-lib');
const ec2 = require('aws-cdk-lib/aws-ec2');
const lambda = require('aws-cdk-lib/aws-lambda');
const rds = require('aws-cdk-lib/aws-rds');

class Orders extends cdk.Stack {
  constructor(scope, id, props) {
    super(scope, id, props);
    const vpc = new ec2.Vpc(this, 'Vpc', { maxAzs: 2, natGateways: 0, subnetConfiguration: [{ name: 'db', subnetType: ec2.SubnetType.PRIVATE_ISOLATED }] });
    const db = new rds.DatabaseInstance(this, 'Database', {
      engine: rds.DatabaseInstanceEngine.postgres({ version: rds.PostgresEngineVersion.of('17.6', '17') }),
      vpc, vpcSubnets: { subnetType: ec2.SubnetType.PRIVATE_ISOLATED },
      credentials: rds.Credentials.fromGeneratedSecret('app'),
      storageEncrypted: true, deletionProtection: true,
    });
    if (props.before) {
      db.addRotationSingleUser(); // AWS's application, with a function and a permission of its own
      return;
    }
    const fn = lambda.Function.fromFunctionArn(this, 'Quarterturn', cdk.Fn.importValue('quarterturn-PostgresSingleUserArn'));
    const schedule = db.secret.addRotationSchedule('RotationSchedule', { // this id: the logical id of addRotationSingleUser stays
      rotationLambda: fn, rotateImmediatelyOnUpdate: false,
    });
    // The construct writes rate(N days), with which "the previously scheduled rotation might still occur". cron() has no such moment.
    schedule.node.defaultChild.addPropertyOverride('RotationRules', { ScheduleExpression: 'cron(0 3 ? * SUN *)', Duration: '2h' });
  }
}

const app = new cdk.App({ outdir: process.env.CDK_OUTDIR ?? 'cdk.out', analyticsReporting: false });
if (app.node.tryGetContext('before')) { // the same database as AWS's application rotates it, to compare with: one more database
  new Orders(app, 'OrdersBefore', { before: true });
}
new Orders(app, 'Orders', { before: false });
app.synth();
