// Stubprovider is as much of hashicorp/aws as the module here uses: the arguments with their types, and nothing behind
// them. It lets terraform init, validate, test and plan run offline. What it does not know, the real provider may know
// and the tests do not judge: each argument is held to the published schema by whoever adds it.
package main

import (
	"context"
	"strings"

	"github.com/hashicorp/terraform-plugin-sdk/v2/diag"
	"github.com/hashicorp/terraform-plugin-sdk/v2/helper/schema"
	"github.com/hashicorp/terraform-plugin-sdk/v2/plugin"
)

const account, region = "123456789012", "us-east-1"

func main() {
	plugin.Serve(&plugin.ServeOpts{ProviderFunc: func() *schema.Provider {
		return &schema.Provider{
			Schema: map[string]*schema.Schema{"region": optional(schema.TypeString)},
			DataSourcesMap: map[string]*schema.Resource{
				"aws_caller_identity": data("account_id", account),
				"aws_partition":       data("partition", "aws"),
				"aws_region":          data("name", region),
			},
			ResourcesMap: map[string]*schema.Resource{
				"aws_lambda_function": resource("lambda", "function:{function_name}",
					"function_name! role! filename source_code_hash runtime handler description architectures[] "+
						"timeout# memory_size# reserved_concurrent_executions# tags{}",
					map[string]string{"environment": "variables{}",
						"logging_config": "log_format! application_log_level system_log_level log_group",
						"vpc_config":     "subnet_ids[] security_group_ids[]"}),
				"aws_lambda_permission": resource("", "",
					"statement_id function_name! action! principal! source_account source_arn", nil),
				"aws_cloudwatch_log_group": resource("logs", "log-group:{name}",
					"name retention_in_days# kms_key_id tags{}", nil),
				"aws_cloudwatch_metric_alarm": resource("cloudwatch", "alarm:{alarm_name}",
					"alarm_name! alarm_description namespace metric_name dimensions{} statistic period# "+
						"comparison_operator! threshold# evaluation_periods#! treat_missing_data alarm_actions[] "+
						"tags{}", nil),
				"aws_cloudwatch_event_rule": resource("events", "rule/{name}", "name schedule_expression tags{}",
					nil),
				"aws_cloudwatch_event_target": resource("", "", "rule! arn!", nil),
				"aws_iam_role": resource("iam", "role/{name}",
					"name path permissions_boundary assume_role_policy! tags{}", nil),
				"aws_iam_policy":                 resource("iam", "policy/{name}", "name path policy! tags{}", nil),
				"aws_iam_role_policy":            resource("", "", "name role! policy!", nil),
				"aws_iam_role_policy_attachment": resource("", "", "role! policy_arn!", nil),
				"aws_secretsmanager_secret":      resource("secretsmanager", "secret:{name}", "name tags{}", nil),
				"aws_secretsmanager_secret_rotation": resource("", "",
					"secret_id!~ rotation_lambda_arn rotate_immediately?",
					map[string]string{"rotation_rules": "schedule_expression automatically_after_days# duration"}),
			},
		}
	}})
}

func optional(of schema.ValueType) *schema.Schema { return &schema.Schema{Type: of, Optional: true} }

// data answers one value.
func data(name, value string) *schema.Resource {
	return &schema.Resource{
		Schema: map[string]*schema.Schema{name: {Type: schema.TypeString, Computed: true}},
		ReadContext: func(_ context.Context, d *schema.ResourceData, _ any) diag.Diagnostics {
			d.SetId(value)
			return diag.FromErr(d.Set(name, value))
		},
	}
}

// resource reads arguments as "name! tags{} size# list[]": ! is required, ~ replaces when it changes, {} a map of text,
// [] a list of text, # a number, ? a boolean, and nothing a text. Blocks have arguments of their own.
func resource(service, suffix, arguments string, blocks map[string]string) *schema.Resource {
	r := &schema.Resource{Schema: fields(arguments),
		Importer: &schema.ResourceImporter{StateContext: schema.ImportStatePassthroughContext}}
	for name, arguments := range blocks {
		r.Schema[name] = &schema.Schema{Type: schema.TypeList, Optional: true,
			Elem: &schema.Resource{Schema: fields(arguments)}}
	}
	if service != "" {
		r.Schema["arn"] = &schema.Schema{Type: schema.TypeString, Computed: true}
	}
	r.CreateContext = func(_ context.Context, d *schema.ResourceData, _ any) diag.Diagnostics {
		for _, name := range []string{"function_name", "name", "alarm_name", "secret_id", "rule", "role",
			"policy_arn"} {
			if v, ok := d.GetOk(name); ok {
				d.SetId(v.(string))
				break
			}
		}
		if service == "" {
			return nil
		}
		arn := suffix
		for name := range r.Schema {
			if v, ok := d.GetOk(name); ok && strings.Contains(suffix, "{"+name+"}") {
				arn = strings.Replace(suffix, "{"+name+"}", v.(string), 1)
			}
		}
		return diag.FromErr(d.Set("arn", "arn:aws:"+service+":"+region+":"+account+":"+arn))
	}
	nothing := func(context.Context, *schema.ResourceData, any) diag.Diagnostics { return nil }
	r.ReadContext, r.UpdateContext, r.DeleteContext = nothing, nothing, nothing
	if r.Schema["secret_id"] != nil { // as the provider has it, so that what is imported is not replaced
		r.ReadContext = func(_ context.Context, d *schema.ResourceData, _ any) diag.Diagnostics {
			return diag.FromErr(d.Set("secret_id", d.Id()))
		}
	}
	return r
}

func fields(arguments string) map[string]*schema.Schema {
	all := map[string]*schema.Schema{}
	for argument := range strings.FieldsSeq(arguments) {
		name := strings.TrimRight(argument, "!~{}[]#?")
		s := optional(schema.TypeString)
		switch marks := argument[len(name):]; {
		case strings.Contains(marks, "{}"):
			s.Type, s.Elem = schema.TypeMap, &schema.Schema{Type: schema.TypeString}
		case strings.Contains(marks, "[]"):
			s.Type, s.Elem = schema.TypeList, &schema.Schema{Type: schema.TypeString}
		case strings.Contains(marks, "#"):
			s.Type = schema.TypeInt
		case strings.Contains(marks, "?"):
			s.Type = schema.TypeBool
		}
		s.Required, s.Optional = strings.Contains(argument, "!"), !strings.Contains(argument, "!")
		s.ForceNew = strings.Contains(argument, "~")
		all[name] = s
	}
	return all
}
