/* placeholder so that the library exists until the module lands */ typedef int ft_unused_model_token;
